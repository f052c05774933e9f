package dev.gyre.model.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The tokenizers and texts the tests share. */
final class Samples {
    static final ObjectMapper JSON = new ObjectMapper();
    static final String TINY = "/models/tiny-v32/";
    static final String DEEPSEEK = "/tokenizer/";

    private static Tokenizer tiny;
    private static Tokenizer deepSeek;

    private Samples() {
    }

    static byte[] bytes(String resource) {
        try (InputStream in = Samples.class.getResourceAsStream(resource)) {
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static synchronized Tokenizer tiny() {
        if (tiny == null) {
            tiny = read(TINY);
        }
        return tiny;
    }

    static synchronized Tokenizer deepSeek() {
        if (deepSeek == null) {
            deepSeek = read(DEEPSEEK);
        }
        return deepSeek;
    }

    private static Tokenizer read(String folder) {
        return Tokenizer.read(bytes(folder + "tokenizer.json"), bytes(folder + "tokenizer_config.json"), folder);
    }

    /** The tree of tiny-v32's tokenizer.json, to be changed and read again. */
    static ObjectNode tinyTree() {
        try {
            return (ObjectNode) JSON.readTree(bytes(TINY + "tokenizer.json"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Tokenizer read(JsonNode tokenizer) {
        return Tokenizer.read(tokenizer.toString().getBytes(StandardCharsets.UTF_8), null, "test.json");
    }

    /** A tokenizer with one token a byte, 0..255, cut by the given pre_tokenizers (JSON) before ByteLevel. */
    static Tokenizer bytesOnly(String... preTokenizers) {
        return read(bytesOnlyTree(List.of(preTokenizers)));
    }

    static ObjectNode bytesOnlyTree(List<String> preTokenizers) {
        ObjectNode root = JSON.createObjectNode();
        try {
            ArrayNode steps = root.putObject("pre_tokenizer").put("type", "Sequence").putArray("pretokenizers");
            for (String step : preTokenizers) {
                steps.add(JSON.readTree(step));
            }
            steps.addObject().put("type", "ByteLevel").put("add_prefix_space", false).put("use_regex", false);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        root.putObject("decoder").put("type", "ByteLevel");
        root.putArray("added_tokens");
        ObjectNode model = root.putObject("model").put("type", "BPE");
        ObjectNode vocabulary = model.putObject("vocab");
        for (int b = 0; b < 256; b++) {
            vocabulary.put(String.valueOf(ByteLevel.character(b)), b);
        }
        model.putArray("merges");
        return root;
    }
}
