package dev.gyre.model.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.EngineException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What Hugging Face gives, given again. */
class TokenizerTest {
    /** A text with the ids that Hugging Face's tokenizers library gives it. */
    record Case(Tokenizer tokenizer, String text, int[] ids) {
        @Override
        public String toString() {
            return text;
        }
    }

    static Stream<Case> cases() throws IOException {
        return Stream.concat(
                cases("/tokenizer/cases.json", Samples.deepSeek()),
                cases("/tiny-v32/tokenizer_cases.json", Samples.tiny()));
    }

    private static Stream<Case> cases(String resource, Tokenizer tokenizer) throws IOException {
        Stream.Builder<Case> cases = Stream.builder();
        for (JsonNode each : Samples.JSON.readTree(Samples.bytes(resource))) {
            JsonNode list = each.get("ids");
            int[] ids = IntStream.range(0, list.size()).map(i -> list.get(i).intValue()).toArray();
            cases.add(new Case(tokenizer, each.get("text").textValue(), ids));
        }
        return cases.build();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void encodesAsHuggingFaceAndBack(Case each) {
        assertArrayEquals(each.ids(), each.tokenizer().encode(each.text()));
        assertEquals(each.text(), each.tokenizer().decode(each.ids(), false));
    }

    @Test
    void answersAboutTokens() {
        Tokenizer tokenizer = Samples.deepSeek();
        assertEquals(128815, tokenizer.vocabularySize());
        assertEquals(OptionalInt.of(0), tokenizer.bosId());
        assertEquals(OptionalInt.of(1), tokenizer.eosId());
        assertEquals(OptionalInt.of(128814), tokenizer.id("<｜tool▁sep｜>"));
        assertEquals(OptionalInt.empty(), tokenizer.id("<｜no▁such｜>"));
        assertTrue(tokenizer.isSpecial(0));
        assertFalse(tokenizer.isSpecial(128814));
        assertFalse(tokenizer.isSpecial(-1));
        assertFalse(tokenizer.isSpecial(Integer.MAX_VALUE));
        assertEquals(4096, Samples.tiny().vocabularySize());
    }

    @Test
    void putsTheBosBeforeWhenTheConfigSaysSo() {
        Tokenizer tokenizer = Samples.tiny();
        int[] plain = tokenizer.encode("Call me");
        int[] withBos = tokenizer.encodeWithBos("Call me");
        assertEquals(0, withBos[0]);
        assertArrayEquals(plain, Arrays.copyOfRange(withBos, 1, withBos.length));
        assertArrayEquals(new int[] {0, 0}, tokenizer.encodeWithBos("<｜begin▁of▁sentence｜>"));
        Tokenizer without = Tokenizer.read(Samples.bytes(Samples.TINY + "tokenizer.json"), null, "tiny");
        assertArrayEquals(plain, without.encodeWithBos("Call me"));
        assertEquals(OptionalInt.empty(), without.bosId());
    }

    @Test
    void recognisesAddedTokensInText() {
        Tokenizer tokenizer = Samples.tiny();
        int[] ids = tokenizer.encode("<｜User｜>Hi<｜Assistant｜><think>");
        assertEquals(3, ids[0]);
        assertEquals(4, ids[ids.length - 2]);
        assertEquals(5, ids[ids.length - 1]);
        assertEquals("<｜User｜>Hi<｜Assistant｜><think>", tokenizer.decode(ids, false));
        assertEquals("Hi", tokenizer.decode(ids, true));
    }

    @Test
    void takesTheLongestAddedTokenAndWhatItStrips() {
        ObjectNode root = Samples.bytesOnlyTree(List.of());
        add(root, 256, "<a", "special");
        add(root, 257, "<a>", "special");
        add(root, 258, "<l>", "lstrip");
        add(root, 259, "<r>", "rstrip");
        add(root, 260, "word", "single_word");
        Tokenizer tokenizer = Samples.read(root);
        assertArrayEquals(new int[] {257, 256, 'b'}, tokenizer.encode("<a><ab"));
        assertArrayEquals(new int[] {'x', 258, ' ', 'y'}, tokenizer.encode("x \u3000<l> y"));
        assertArrayEquals(new int[] {'x', ' ', 259, 'y'}, tokenizer.encode("x <r>\u00a0\ny"));
        assertArrayEquals(new int[] {259, 258}, tokenizer.encode("<r>  <l>"));
        assertArrayEquals(new int[] {260, ' ', 's', 'w', 'o', 'r', 'd', '.', 260}, tokenizer.encode("word sword.word"));
    }

    private static void add(ObjectNode root, int id, String content, String flag) {
        ((ArrayNode) root.get("added_tokens")).addObject().put("id", id).put("content", content).put(flag, true);
    }

    @Test
    void seeksNormalizedTokensInTheNormalizedText() {
        ObjectNode root = Samples.bytesOnlyTree(List.of());
        root.putObject("normalizer").put("type", "NFC");
        add(root, 256, "e\u0301!", "normalized");
        Tokenizer tokenizer = Samples.read(root);
        assertArrayEquals(new int[] {256, 256}, tokenizer.encode("\u00e9!e\u0301!"));
        assertArrayEquals(new int[] {0xC3, 0xA9}, tokenizer.encode("e\u0301"));
    }

    @Test
    void namesAnUnknownId() {
        for (int id : new int[] {-1, 128815, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
            var e = assertThrows(EngineException.class, () -> Samples.deepSeek().decode(new int[] {id}, true));
            assertTrue(e.getMessage().contains(" " + id + " "), e.getMessage());
        }
    }

    @Test
    void countsHalfASurrogatePairAsTheReplacementCharacter() {
        Tokenizer tokenizer = Samples.bytesOnly();
        assertEquals("a\uFFFDb\uFFFD", tokenizer.decode(tokenizer.encode("a\ud800b\udc00"), false));
        assertEquals("\uD83D\uDE42", tokenizer.decode(tokenizer.encode("\uD83D\uDE42"), false));
    }

    @Test
    void spacesAreUnicodeSpaces() {
        Tokenizer tokenizer = Samples.bytesOnly(split("\\\\s+", "Removed"));
        assertEquals("abcdefg\u200bh",
                tokenizer.decode(tokenizer.encode("a b\u00a0c\u3000d\u2003e\u0085f\u2028g\u200bh"), false));
    }

    private static String split(String regex, String behavior) {
        return "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" + regex + "\"},\"behavior\":\"" + behavior + "\"}";
    }

    @Test
    void isTheSameFromManyThreads() {
        String text = new String(Samples.bytes(Samples.TINY + "tokenizer.json"), StandardCharsets.UTF_8)
                .substring(0, 50_000);
        int[] expected = Tokenizer.read(Samples.bytes(Samples.TINY + "tokenizer.json"), null, "tiny").encode(text);
        Tokenizer shared = Tokenizer.read(Samples.bytes(Samples.TINY + "tokenizer.json"), null, "tiny");
        IntStream.range(0, 32).parallel().forEach(_ -> assertArrayEquals(expected, shared.encode(text)));
    }
}
