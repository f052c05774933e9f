package dev.gyre.model.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.EngineException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Whatever the bytes, a file is read or refused in a sentence. */
class MalformedTokenizerTest {
    private static final String TEXT = "Hello <think> 1234\n\n  naïve 日本語 🙂";

    private final byte[] tiny = Samples.bytes(Samples.TINY + "tokenizer.json");
    private final byte[] config = Samples.bytes(Samples.TINY + "tokenizer_config.json");

    /** Anything but success and EngineException fails the test by being thrown. */
    private static boolean reads(byte[] tokenizer, byte[] config) {
        try {
            Tokenizer read = Tokenizer.read(tokenizer, config, "test.json");
            read.decode(read.encodeWithBos(TEXT), true);
            return true;
        } catch (EngineException e) {
            assertTrue(e.getMessage().contains("test.json") && e.getMessage().length() < 600, e.getMessage());
            return false;
        }
    }

    private static EngineException refusal(String tokenizer) {
        byte[] bytes = tokenizer.getBytes(StandardCharsets.UTF_8);
        var e = assertThrows(EngineException.class, () -> Tokenizer.read(bytes, null, "some/tokenizer.json"));
        assertTrue(e.getMessage().contains("some/tokenizer.json"), e.getMessage());
        return e;
    }

    @Test
    void survivesFlippedBytes() {
        var random = new Random(41);
        int read = 0;
        for (int round = 0; round < 300; round++) {
            byte[] bytes = tiny.clone();
            for (int i = random.nextInt(3); i >= 0; i--) {
                // every other round hits the beginning, where the structure is, rather than the vocabulary
                bytes[random.nextInt(round % 2 == 0 ? bytes.length : 4000)] = (byte) random.nextInt(256);
            }
            read += reads(bytes, config) ? 1 : 0;
        }
        assertTrue(read < 300);
    }

    @Test
    void survivesTruncation() {
        var random = new Random(42);
        for (int round = 0; round < 100; round++) {
            int length = random.nextInt(round % 2 == 0 ? tiny.length : 4000);
            assertEquals(false, reads(Arrays.copyOf(tiny, length), config));
        }
        for (int length = 0; length < config.length - 2; length++) {
            assertEquals(false, reads(tiny, Arrays.copyOf(config, length)));
        }
    }

    @Test
    void survivesOtherValues() throws IOException {
        var random = new Random(43);
        List<JsonNode> values = new ArrayList<>();
        for (String json : new String[] {"null", "true", "-1", "0", "1.5", "2000000000", "1e400", "\"\"", "\"x\"",
            "99999999999999999999", "[]", "{}", "[[[]]]", "{\"type\":\"Sequence\"}", "\"\\ud800\"", "[null]"}) {
            values.add(Samples.JSON.readTree(json));
        }
        for (int round = 0; round < 400; round++) {
            ObjectNode root = Samples.tinyTree();
            change(root, random, values);
            reads(Samples.JSON.writeValueAsBytes(root), config);
        }
    }

    /** Walks down from the root at random and puts another value, or nothing, or a neighbour's, where it ends. */
    private static void change(JsonNode node, Random random, List<JsonNode> values) {
        List<String> names = new ArrayList<>();
        node.fieldNames().forEachRemaining(names::add);
        int at = random.nextInt(node.size());
        JsonNode child = node.isObject() ? node.get(names.get(at)) : node.get(at);
        if (child.isContainerNode() && !child.isEmpty() && random.nextInt(6) > 0) {
            change(child, random, values);
            return;
        }
        JsonNode other = values.get(random.nextInt(values.size()));
        if (random.nextInt(3) == 0) {
            int neighbour = random.nextInt(node.size());
            other = node.isObject() ? node.get(names.get(neighbour)) : node.get(neighbour);
        }
        if (node instanceof ArrayNode array) {
            array.set(at, other);
        } else if (random.nextInt(5) == 0) {
            ((ObjectNode) node).remove(names.get(at));
        } else {
            ((ObjectNode) node).set(names.get(at), other);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", " ", "null", "[]", "7", "{", "{}", "{\"model\":null}", "{\"model\":{}}", "{} {}",
        "{\"model\":{\"vocab\":{},\"merges\":[]}}", "\u0000", "\ufeff", "{\"model\":{\"model\":{}}}"})
    void refusesWhatIsNoTokenizer(String json) {
        refusal(json);
    }

    @ParameterizedTest
    @ValueSource(strings = {"[", "{\"a\":", "{\"normalizer\":[", "{\"model\":{\"vocab\":[",
        "{\"model\":{\"merges\":[["})
    void refusesDeepNesting(String open) {
        refusal("{\"pre_tokenizer\":" + open.repeat(200_000));
        refusal(open.repeat(200_000));
        String step = "{\"type\":\"Sequence\",\"pretokenizers\":[";
        refusal("{\"pre_tokenizer\":" + step.repeat(400) + "]}".repeat(400) + "}");
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "/model/type; \"WordPiece\"; BPE",
        "/model/dropout; 0.1; dropout",
        "/model/byte_fallback; true; byte_fallback",
        "/model/continuing_subword_prefix; \"##\"; continuing_subword_prefix",
        "/model/vocab/!; 2000000000; 16777215",
        "/model/vocab/!; -1; 16777215",
        "/model/vocab/!; \"7\"; 16777215",
        "/model/vocab/!; 300; id 300",
        "/model/merges; [\"a nosuchtoken\"]; nosuchtoken",
        "/model/merges; [\"a b c\"]; a b c",
        "/model/merges; [[\"a\"]]; neither",
        "/normalizer; {\"type\":\"Lowercase\"}; Lowercase",
        "/pre_tokenizer; null; pre_tokenizer",
        "/pre_tokenizer; {\"type\":\"Metaspace\"}; Metaspace",
        "/pre_tokenizer/pretokenizers/0/behavior; \"Shredded\"; Shredded",
        "/pre_tokenizer/pretokenizers/0/pattern; {\"Regex\":\"(\"}; regex",
        "/decoder; {\"type\":\"WordPiece\"}; WordPiece",
        "/added_tokens/0/id; 2000000000; 16777215",
        "/added_tokens/0/id; 300; clashes",
        "/added_tokens/1/content; \"a\"; clashes",
        "/added_tokens/1/content; \"\"; no content",
    })
    void saysWhatIsWrong(String pointer, String value, String expected) throws IOException {
        ObjectNode root = Samples.tinyTree();
        int slash = pointer.lastIndexOf('/');
        ((ObjectNode) root.at(pointer.substring(0, slash)))
                .set(pointer.substring(slash + 1), Samples.JSON.readTree(value));
        var e = refusal(Samples.JSON.writeValueAsString(root));
        assertTrue(e.getMessage().contains(expected), e.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "[]", "{\"add_bos_token\":true}", "{\"add_bos_token\":\"yes\"}", "{\"bos_token\":7}",
        "{\"add_bos_token\":true,\"bos_token\":\"<nosuch>\"}", "{\"bos_token\":{\"content\":null}}"})
    void refusesAConfigThatMakesNoSense(String json) {
        assertEquals(false, reads(tiny, json.getBytes(StandardCharsets.UTF_8)));
    }

    @Test
    void namesAByteWithoutAToken() {
        ObjectNode root = Samples.bytesOnlyTree(List.of());
        ((ObjectNode) root.get("model").get("vocab")).remove("z");
        var e = assertThrows(EngineException.class, () -> Samples.read(root).encode("z"));
        assertTrue(e.getMessage().contains("0x7A"), e.getMessage());
    }
}
