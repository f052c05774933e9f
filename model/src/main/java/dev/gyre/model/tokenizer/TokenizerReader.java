package dev.gyre.model.tokenizer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gyre.attention.EngineException;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Reads {@code tokenizer.json} and {@code tokenizer_config.json}. The parts with hundreds of thousands of entries are
 * read by {@link ModelReader} from the stream of JSON tokens, the small ones by {@link StepsReader} from trees.
 */
final class TokenizerReader {
    /** Vocabulary entries are JSON keys; keeping each in a table of names seen before would only cost time. */
    static final ObjectMapper JSON = new ObjectMapper(JsonFactory.builder()
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .build());

    private final String where;
    private final Complaint complaint;
    private final Map<String, JsonNode> parts = new HashMap<>();
    private ModelReader model;

    private TokenizerReader(String where) {
        this.where = where;
        this.complaint = new Complaint(where);
    }

    /** @see Tokenizer#read */
    static Tokenizer read(byte[] tokenizerJson, byte[] tokenizerConfigJson, String where) {
        var reader = new TokenizerReader(where);
        try {
            reader.parse(tokenizerJson);
            return reader.build(tokenizerConfigJson);
        } catch (EngineException e) {
            throw e;
        } catch (JsonProcessingException e) {
            String place = e.getLocation() == null ? "" : " at line " + e.getLocation().getLineNr() + ", column "
                    + e.getLocation().getColumnNr();
            throw reader.complaint.malformed("not readable as JSON" + place, e);
        } catch (IOException | RuntimeException e) {
            // the bytes are anybody's: whatever a library thinks of them, the caller gets one kind of exception
            throw reader.complaint.malformed("not readable as JSON", e);
        }
    }

    private void parse(byte[] bytes) throws IOException {
        Set<String> seen = new HashSet<>();
        try (JsonParser parser = JSON.createParser(bytes)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw complaint.malformed("tokenizer.json is not a JSON object");
            }
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String name = parser.currentName();
                parser.nextToken();
                if (!seen.add(name)) {
                    throw complaint.malformed(Complaint.quote(name) + " stands there twice");
                }
                switch (name) {
                    case "model" -> {
                        model = new ModelReader(complaint);
                        model.parse(parser);
                    }
                    case "normalizer", "pre_tokenizer", "decoder", "added_tokens" ->
                            parts.put(name, JSON.readTree(parser));
                    default -> parser.skipChildren();
                }
            }
            if (parser.nextToken() != null) {
                throw complaint.malformed("something follows the end of the JSON object");
            }
        }
    }

    private Tokenizer build(byte[] config) throws IOException {
        if (model == null) {
            throw complaint.malformed("no \"model\" in tokenizer.json");
        }
        var steps = new StepsReader(where);
        Normalization normalization = steps.normalization(parts.get("normalizer"));
        PreTokenizer preTokenizer = steps.preTokenizer(parts.get("pre_tokenizer"));
        steps.checkDecoder(parts.get("decoder"));
        List<AddedTokens.AddedToken> added = steps.addedTokens(parts.get("added_tokens"));
        MergeTable merges = model.merges(); // before added tokens join the vocabulary: merges make vocabulary entries
        Vocabulary vocabulary = vocabulary(model.vocabulary(), added);
        return new Tokenizer(vocabulary,
                sought(added, token -> !token.normalized(), new Normalization(List.of())),
                normalization,
                sought(added, AddedTokens.AddedToken::normalized, normalization),
                preTokenizer,
                new Bpe(vocabulary, merges, model.ignoreMerges(), where),
                specialIds(config, vocabulary));
    }

    private static AddedTokens sought(List<AddedTokens.AddedToken> added, Predicate<AddedTokens.AddedToken> which,
            Normalization normalization) {
        return new AddedTokens(added.stream().filter(which).toList(), normalization);
    }

    private Vocabulary vocabulary(Map<String, Integer> ids, List<AddedTokens.AddedToken> added) {
        int highest = -1;
        for (int id : ids.values()) {
            highest = Math.max(highest, id);
        }
        for (AddedTokens.AddedToken token : added) {
            highest = Math.max(highest, token.id());
        }
        if (highest < 0) {
            throw complaint.malformed("a vocabulary without tokens");
        }
        byte[][] bytes = new byte[highest + 1][];
        ids.forEach((spelling, id) -> {
            if (bytes[id] != null) {
                throw complaint.malformed("two tokens with the id " + id);
            }
            bytes[id] = ByteLevel.unspell(spelling);
        });
        var special = new BitSet();
        var seen = new BitSet();
        for (AddedTokens.AddedToken token : added) {
            int id = token.id();
            Integer before = ids.putIfAbsent(token.content(), id);
            boolean clash = before == null ? bytes[id] != null : before != id;
            if (clash || seen.get(id)) {
                throw complaint.malformed("the added token " + Complaint.quote(token.content()) + " with the id " + id
                        + " clashes with another token");
            }
            seen.set(id);
            special.set(id, token.special());
            // what is written in the text is what comes back: added tokens are not spelled in the byte alphabet
            bytes[id] = token.content().getBytes(StandardCharsets.UTF_8);
        }
        return new Vocabulary(ids, bytes, special, where);
    }

    private Tokenizer.SpecialIds specialIds(byte[] config, Vocabulary vocabulary) throws IOException {
        if (config == null) {
            return new Tokenizer.SpecialIds(OptionalInt.empty(), OptionalInt.empty(), false);
        }
        JsonNode root = JSON.readTree(config);
        if (root == null || !root.isObject()) {
            throw complaint.malformed("tokenizer_config.json is not a JSON object");
        }
        OptionalInt bos = token(root, "bos_token", vocabulary);
        JsonNode add = root.path("add_bos_token");
        if (!add.isMissingNode() && !add.isNull() && !add.isBoolean()) {
            throw complaint.malformed("add_bos_token in tokenizer_config.json is not true or false");
        }
        if (add.booleanValue() && bos.isEmpty()) {
            throw complaint.malformed("add_bos_token is true in tokenizer_config.json, but bos_token names no token");
        }
        return new Tokenizer.SpecialIds(bos, token(root, "eos_token", vocabulary), add.booleanValue());
    }

    /** Written as a text or as {@code {"content": text, ...}}. */
    private OptionalInt token(JsonNode config, String key, Vocabulary vocabulary) {
        JsonNode value = config.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return OptionalInt.empty();
        }
        JsonNode content = value.isObject() ? value.path("content") : value;
        if (!content.isTextual()) {
            throw complaint.malformed(key + " in tokenizer_config.json is not a text");
        }
        return vocabulary.id(content.textValue());
    }
}
