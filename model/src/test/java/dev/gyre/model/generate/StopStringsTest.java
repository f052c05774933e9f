package dev.gyre.model.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;

/** What is shown, what is held back and what ends a text. */
class StopStringsTest {
    /** Pushes the pieces; what came of each, and of the end. */
    private static List<String> push(StopStrings stops, String... pieces) {
        List<String> shown = new ArrayList<>();
        for (String piece : pieces) {
            shown.add(stops.push(piece));
        }
        shown.add(stops.finish());
        return shown;
    }

    private static StopStrings stops(String... stops) {
        return new StopStrings(List.of(stops));
    }

    @Test
    void withoutStopStringsNothingIsHeld() {
        assertEquals(List.of("a", "", "bc", ""), push(stops(), "a", "", "bc"));
    }

    @Test
    void overSeveralPieces() {
        StopStrings stops = stops("###");
        assertEquals(List.of("one ", "", "", "", ""), push(stops, "one #", "#", "# two", "three"));
        assertEquals("###", stops.found());
    }

    @Test
    void heldTextIsReleased() {
        StopStrings stops = stops("###");
        assertEquals(List.of("a", "", "##b", "c", "##"), push(stops, "a#", "#", "b", "c##"));
        assertNull(stops.found());
    }

    @Test
    void overlappingBeginnings() {
        assertEquals(List.of("", "", "a", "", ""), push(stops("aab"), "a", "a", "a", "b"));
        assertEquals(List.of("a", ""), push(stops("aab"), "aaab"));
        assertEquals(List.of("ab", "", ""), push(stops("abac"), "ababa", "c"), "the second beginning holds");
    }

    @Test
    void theEarliestOfTwoWins() {
        assertEquals(List.of("x", ""), push(stops("two", "one"), "xone two"));
        assertEquals(List.of("x", ""), push(stops("one", "two"), "xone two"));
        assertEquals(List.of("x", ""), push(stops("ne", "one"), "xone"));
        // held for "abc" when "b" comes
        assertEquals(List.of("a", "", ""), push(stops("abc", "b"), "ab", "c"));
        assertEquals(List.of("x", "", "--y", "z", ""), push(stops("--)", "-x"), "x", "-", "-y", "z"));
    }

    @Test
    void unicode() {
        StopStrings stops = stops("\u00e9\ud83d\ude00!");
        assertEquals(List.of("caf", "", "", ""), push(stops, "caf\u00e9", "\ud83d\ude00", "! more"));
        StopStrings other = stops("\u00e9\ud83d\ude00");
        assertEquals(List.of("caf", "\u00e9\ud83d\ude01", ""), push(other, "caf\u00e9", "\ud83d\ude01"));
    }

    /** However a text is cut, what is shown is the text up to the first stop string. */
    @Test
    void cutsDoNotMatter() {
        Random random = new Random(1);
        for (int trial = 0; trial < 3000; trial++) {
            String text = random.ints(random.nextInt(30), 'a', 'd').mapToObj(Character::toString)
                    .collect(Collectors.joining());
            List<String> words = List.of("aab", "bcba", "cc").subList(0, 1 + random.nextInt(3));
            StopStrings stops = new StopStrings(words);
            StringBuilder shown = new StringBuilder();
            for (int from = 0; from < text.length(); ) {
                int to = Math.min(text.length(), from + random.nextInt(5));
                shown.append(stops.push(text.substring(from, to)));
                from = to;
            }
            shown.append(stops.finish());
            assertEquals(words.stream().anyMatch(text::contains), stops.found() != null, text);
            // a piece may complete two of them: then the one that begins first wins
            int end = words.stream().mapToInt(text::indexOf).filter(at -> at >= 0).min().orElse(text.length());
            String until = text.substring(0, end);
            assertTrue(shown.toString().equals(until) || shown.toString().equals(firstComplete(text, words)), text);
        }
    }

    private static String firstComplete(String text, List<String> words) {
        for (int end = 0; end <= text.length(); end++) {
            for (String word : words) {
                if (text.substring(0, end).endsWith(word)) {
                    return text.substring(0, end - word.length());
                }
            }
        }
        return text;
    }
}
