package dev.gyre.model.tokenizer;

import dev.gyre.attention.EngineException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Where text is cut; the expected cuts are Hugging Face's. */
class PreTokenizerTest {
    private static List<String> cut(String text, PreTokenizer.Stage... stages) {
        List<String> pieces = new ArrayList<>();
        new PreTokenizer(List.of(stages), "test").into((t, from, to) -> pieces.add(t.substring(from, to)))
                .accept(text, 0, text.length());
        return pieces;
    }

    private static PreTokenizer.Split isolated(String regex) {
        return new PreTokenizer.Split(Regexes.compile(regex, "test"), PreTokenizer.Behavior.ISOLATED, false);
    }

    @ParameterizedTest
    @CsvSource({
        "ISOLATED,             false, the|-|final|-|-|count",
        "REMOVED,              false, the|final|count",
        "MERGED_WITH_PREVIOUS, false, the-|final-|-|count",
        "MERGED_WITH_NEXT,     false, the|-final|-|-count",
        "CONTIGUOUS,           false, the|-|final|--|count",
        "ISOLATED,             true,  the|-|final|-|-|count",
        "REMOVED,              true,  -|-|-",
        "CONTIGUOUS,           true,  the|-|final|--|count",
    })
    void doesWithMatchesWhatTheBehaviorSays(PreTokenizer.Behavior behavior, boolean invert, String expected) {
        var split = new PreTokenizer.Split(Regexes.literal("-"), behavior, invert);
        assertEquals(List.of(expected.split(Pattern.quote("|"))), cut("the-final--count", split));
    }

    @Test
    void aStageSeesItsPieceAlone() {
        // the spaces end where the digits begin: for the second stage they end the text, so none is left over
        assertEquals(List.of("a", "  ", "1"), cut("a  1", isolated("\\p{N}"), isolated("\\s+(?!\\S)|\\s+")));
        assertEquals(List.of("a", " ", " ", "1"), cut("a  1", isolated("\\s+(?!\\S)|\\s+")));
    }

    @Test
    void putsASpaceBeforeEachPieceWithout() {
        assertEquals(List.of(" a", " 1", " b"), cut("a1 b", isolated("1"), new PreTokenizer.PrefixSpace()));
    }

    @Test
    void cutsAsGpt2() {
        assertEquals(List.of("I", "'ve", " 10", " naïve", " ", " cats", "!?", "\n", "\n", "x"),
                cut("I've 10 naïve  cats!?\n\nx", isolated(ByteLevel.GPT2_REGEX)));
    }

    @Test
    void readsClassesFullOfPunctuation() {
        String regex = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+";
        for (char c : "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".toCharArray()) {
            assertEquals(List.of(" ", c + "ab", " "), cut(" " + c + "ab ", isolated(regex)));
        }
    }

    @Test
    void generalCategoriesStayWhatTheyAre() {
        assertEquals(List.of("$", "."), cut("$.", isolated("\\p{P}"))); // a currency sign is no \p{P}
        assertEquals(List.of("a$", "."), cut("a$.", isolated("[\\p{P}]")));
        assertEquals(List.of("a", "\u0301b"), cut("a\u0301b", isolated("\\p{L}(?=\\p{M})")));
        assertEquals(List.of("½Ⅷ", "٣a"), cut("½Ⅷ٣a", isolated("[\\p{No}\\p{Nl}]+")));
        assertEquals(List.of("漢", "kana"), cut("漢kana", isolated("\\p{Han}+")));
        assertEquals(List.of("漢", "kana"), cut("漢kana", isolated("\\p{^Han}+")));
        assertEquals(List.of("a\u200d", "b"), cut("a\u200db", isolated("(?<=\\W)[\\w]")));
    }

    @Test
    void emptyMatchesNeverCutACharacterInTwo() {
        assertEquals(List.of("🙂", "🙂"), cut("🙂🙂", isolated("x*")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"(", "[a", "\\", "\\p{L", "\\p{NoSuch}", "\\pL", "a{2,1}", "\\h", "\\K", "(?m:a)", "(?x)a",
        "[[:alpha:]]", "\\p{N}{1,3}+", "*", "\\Qa\\E", "(?#c)"})
    void namesARegexThatCannotBeUsed(String regex) {
        var e = assertThrows(EngineException.class, () -> Regexes.compile(regex, "some/tokenizer.json"));
        assertTrue(e.getMessage().contains("some/tokenizer.json"), e.getMessage());
    }

    @Test
    void survivesRegexesMadeToOverflow() {
        assertThrows(EngineException.class, () -> Regexes.compile("(".repeat(60_000) + ")".repeat(60_000), "test"));
        for (String part : new String[] {"(a", "a.", "a|", "[a", "(?=", "\\p{L}?"}) {
            String open = part.repeat(65_000 / 2 / part.length());
            String close = part.charAt(0) == '(' ? ")" : part.charAt(0) == '[' ? "]" : "";
            try {
                Regexes.compile(open + close.repeat(65_000 / 2 / part.length()), "test"); // may pass on a large stack
            } catch (EngineException expected) {
                assertTrue(expected.getMessage().contains("test"), expected.getMessage());
            }
        }
        String text = "ab".repeat(1_000_000);
        var e = assertThrows(EngineException.class, () -> cut(text, isolated("(?:a|b|ab)+?c")));
        assertTrue(e.getMessage().contains("stack"), e.getMessage());
    }
}
