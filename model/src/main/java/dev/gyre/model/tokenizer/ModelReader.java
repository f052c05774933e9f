package dev.gyre.model.tokenizer;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The {@code model} of {@code tokenizer.json}, read without a tree in between: DeepSeek's has 128,000 vocabulary
 * entries and as many merges. The order of its keys does not matter.
 */
final class ModelReader {
    private final Complaint complaint;
    private final Map<String, Integer> vocabulary = new HashMap<>(1 << 15);
    /** Left and right of each merge in turn. */
    private final List<String> merges = new ArrayList<>(1 << 15);
    private boolean ignoreMerges;

    ModelReader(Complaint complaint) {
        this.complaint = complaint;
    }

    /** Reads the object that the parser has just entered. */
    void parse(JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw complaint.malformed("\"model\" is not an object");
        }
        Set<String> seen = new HashSet<>();
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            if (!seen.add(name)) {
                throw complaint.malformed("the model's " + Complaint.quote(name) + " stands there twice");
            }
            switch (name) {
                case "type" -> {
                    if (value != JsonToken.VALUE_STRING || !parser.getText().equals("BPE")) {
                        throw complaint.unsupported("a model whose type is not \"BPE\"");
                    }
                }
                case "vocab" -> vocabulary(parser);
                case "merges" -> merges(parser);
                case "ignore_merges" -> ignoreMerges = flag(parser, name);
                case "byte_fallback" -> {
                    if (flag(parser, name)) {
                        throw complaint.unsupported("byte_fallback");
                    }
                }
                case "dropout", "continuing_subword_prefix", "end_of_word_suffix" -> {
                    boolean empty = value == JsonToken.VALUE_STRING && parser.getText().isEmpty();
                    if (value != JsonToken.VALUE_NULL && !empty) {
                        throw complaint.unsupported(name);
                    }
                }
                default -> parser.skipChildren();
            }
        }
        if (!seen.contains("vocab") || !seen.contains("merges")) {
            throw complaint.malformed("a model without \"vocab\" or \"merges\"");
        }
    }

    private boolean flag(JsonParser parser, String name) {
        JsonToken token = parser.currentToken();
        if (token != JsonToken.VALUE_TRUE && token != JsonToken.VALUE_FALSE && token != JsonToken.VALUE_NULL) {
            throw complaint.malformed("the model's " + name + " is not true or false");
        }
        return token == JsonToken.VALUE_TRUE;
    }

    private void vocabulary(JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw complaint.malformed("the model's vocab is not an object");
        }
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String spelling = parser.currentName();
            JsonToken value = parser.nextToken();
            long id = value == JsonToken.VALUE_NUMBER_INT ? parser.getLongValue() : -1;
            if (id < 0 || id >= Vocabulary.MAXIMUM_IDS) {
                throw complaint.malformed("the token " + Complaint.quote(spelling) + " without an id from 0 to "
                        + (Vocabulary.MAXIMUM_IDS - 1));
            }
            if (vocabulary.put(spelling, (int) id) != null) {
                throw complaint.malformed("the token " + Complaint.quote(spelling) + " stands there twice");
            }
        }
    }

    private void merges(JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.START_ARRAY) {
            throw complaint.malformed("the model's merges are not a list");
        }
        JsonToken token;
        while ((token = parser.nextToken()) != JsonToken.END_ARRAY) {
            if (token == JsonToken.VALUE_STRING) {
                String merge = parser.getText();
                int space = merge.indexOf(' ');
                if (space < 0 || merge.indexOf(' ', space + 1) >= 0) {
                    throw complaint.malformed("the merge " + Complaint.quote(merge) + " is not two tokens");
                }
                merges.add(merge.substring(0, space));
                merges.add(merge.substring(space + 1));
            } else {
                boolean pair = token == JsonToken.START_ARRAY && addText(parser) && addText(parser)
                        && parser.nextToken() == JsonToken.END_ARRAY;
                if (!pair) {
                    throw complaint.malformed("a merge that is neither \"a b\" nor [\"a\", \"b\"]");
                }
            }
        }
    }

    private boolean addText(JsonParser parser) throws IOException {
        return parser.nextToken() == JsonToken.VALUE_STRING && merges.add(parser.getText());
    }

    Map<String, Integer> vocabulary() {
        return vocabulary;
    }

    boolean ignoreMerges() {
        return ignoreMerges;
    }

    MergeTable merges() {
        var table = new MergeTable(merges.size() / 2);
        for (int i = 0; i < merges.size(); i += 2) {
            String left = merges.get(i);
            String right = merges.get(i + 1);
            table.put(id(left), id(right), i / 2, id(left + right));
        }
        return table;
    }

    private int id(String spelling) {
        Integer id = vocabulary.get(spelling);
        if (id == null) {
            throw complaint.malformed("a merge needs the token " + Complaint.quote(spelling)
                    + ", which the vocab lacks");
        }
        return id;
    }
}
