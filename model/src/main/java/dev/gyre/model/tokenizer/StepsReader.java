package dev.gyre.model.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;

import java.text.Normalizer;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * The small parts of {@code tokenizer.json}, read from JSON trees: {@code normalizer}, {@code pre_tokenizer},
 * {@code decoder} and {@code added_tokens}.
 */
final class StepsReader {
    /** Each stage is a stack frame while encoding; real files have four. */
    private static final int MOST_STAGES = 64;

    private final String where;
    private final Complaint complaint;

    StepsReader(String where) {
        this.where = where;
        this.complaint = new Complaint(where);
    }

    Normalization normalization(JsonNode normalizer) {
        List<Normalizer.Form> forms = new ArrayList<>();
        addForms(normalizer, forms);
        return new Normalization(forms);
    }

    // the recursion is bounded: Jackson refuses JSON nested more than 1000 deep
    private void addForms(JsonNode normalizer, List<Normalizer.Form> forms) {
        if (absent(normalizer)) {
            return;
        }
        String type = text(normalizer, "type", "a normalizer");
        switch (type) {
            case "Sequence" -> {
                for (JsonNode step : array(normalizer, "normalizers", "a normalizer Sequence")) {
                    addForms(step, forms);
                }
            }
            case "NFC", "NFD", "NFKC", "NFKD" -> forms.add(Normalizer.Form.valueOf(type));
            default -> throw complaint.unsupported("the normalizer " + Complaint.quote(type));
        }
        if (forms.size() > MOST_STAGES) {
            throw complaint.malformed("more than " + MOST_STAGES + " normalizers");
        }
    }

    PreTokenizer preTokenizer(JsonNode preTokenizer) {
        if (absent(preTokenizer)) {
            throw complaint.unsupported("no pre_tokenizer at all");
        }
        List<PreTokenizer.Stage> stages = new ArrayList<>();
        if (!addStages(preTokenizer, stages, false)) {
            throw complaint.unsupported("a pre_tokenizer without ByteLevel");
        }
        return new PreTokenizer(stages, where);
    }

    /** Returns whether ByteLevel has been met: after it there are bytes, not text, and nothing else may follow. */
    private boolean addStages(JsonNode step, List<PreTokenizer.Stage> stages, boolean bytes) {
        String type = text(step, "type", "a pre_tokenizer");
        if (type.equals("Sequence")) {
            boolean met = bytes;
            for (JsonNode each : array(step, "pretokenizers", "a pre_tokenizer Sequence")) {
                met = addStages(each, stages, met);
            }
            return met;
        }
        if (bytes) {
            throw complaint.unsupported("the pre_tokenizer " + Complaint.quote(type) + " after ByteLevel");
        }
        if (stages.size() >= MOST_STAGES) {
            throw complaint.malformed("more than " + MOST_STAGES + " pre_tokenizers");
        }
        switch (type) {
            case "Split" -> stages.add(split(step));
            case "ByteLevel" -> {
                if (flag(step, "add_prefix_space", null, "ByteLevel")) {
                    stages.add(new PreTokenizer.PrefixSpace());
                }
                if (flag(step, "use_regex", true, "ByteLevel")) {
                    Pattern gpt2 = Regexes.compile(ByteLevel.GPT2_REGEX, where);
                    stages.add(new PreTokenizer.Split(gpt2, PreTokenizer.Behavior.ISOLATED, false));
                }
                return true;
            }
            default -> throw complaint.unsupported("the pre_tokenizer " + Complaint.quote(type));
        }
        return false;
    }

    private PreTokenizer.Split split(JsonNode step) {
        JsonNode pattern = step.get("pattern");
        if (pattern == null || !pattern.isObject() || pattern.size() != 1) {
            throw complaint.malformed("a Split whose pattern is not {\"Regex\": ...} or {\"String\": ...}");
        }
        Pattern compiled = pattern.has("Regex")
                ? Regexes.compile(text(pattern, "Regex", "a Split pattern"), where)
                : Regexes.literal(text(pattern, "String", "a Split pattern"));
        String behavior = text(step, "behavior", "a Split");
        return new PreTokenizer.Split(compiled, switch (behavior) {
            case "Isolated" -> PreTokenizer.Behavior.ISOLATED;
            case "Removed" -> PreTokenizer.Behavior.REMOVED;
            case "MergedWithPrevious" -> PreTokenizer.Behavior.MERGED_WITH_PREVIOUS;
            case "MergedWithNext" -> PreTokenizer.Behavior.MERGED_WITH_NEXT;
            case "Contiguous" -> PreTokenizer.Behavior.CONTIGUOUS;
            default -> throw complaint.unsupported("the Split behavior " + Complaint.quote(behavior));
        }, flag(step, "invert", false, "a Split"));
    }

    /** Checks that decoding is what {@link Vocabulary} and {@link Utf8Decoder} do. */
    void checkDecoder(JsonNode decoder) {
        if (absent(decoder)) {
            throw complaint.unsupported("no decoder at all");
        }
        String type = text(decoder, "type", "the decoder");
        if (!type.equals("ByteLevel")) {
            throw complaint.unsupported("the decoder " + Complaint.quote(type));
        }
    }

    List<AddedTokens.AddedToken> addedTokens(JsonNode list) {
        List<AddedTokens.AddedToken> tokens = new ArrayList<>();
        if (absent(list)) {
            return tokens;
        }
        if (!list.isArray()) {
            throw complaint.malformed("added_tokens is not a list");
        }
        for (JsonNode each : list) {
            String content = text(each, "content", "an added token");
            if (content.isEmpty()) {
                throw complaint.malformed("an added token with no content");
            }
            String name = "the added token " + Complaint.quote(content);
            JsonNode id = each.get("id");
            if (id == null || !id.isIntegralNumber() || !id.canConvertToInt()
                    || id.intValue() < 0 || id.intValue() >= Vocabulary.MAXIMUM_IDS) {
                throw complaint.malformed(name + " without an id from 0 to " + (Vocabulary.MAXIMUM_IDS - 1));
            }
            boolean special = flag(each, "special", false, name);
            tokens.add(new AddedTokens.AddedToken(id.intValue(), content, special, flag(each, "lstrip", false, name),
                    flag(each, "rstrip", false, name), flag(each, "single_word", false, name),
                    flag(each, "normalized", !special, name)));
        }
        return tokens;
    }

    private static boolean absent(JsonNode node) {
        return node == null || node.isNull();
    }

    private String text(JsonNode object, String key, String what) {
        JsonNode value = object.get(key);
        if (value == null || !value.isTextual()) {
            throw complaint.malformed(what + " without a text \"" + key + "\"");
        }
        return value.textValue();
    }

    private JsonNode array(JsonNode object, String key, String what) {
        JsonNode value = object.get(key);
        if (value == null || !value.isArray()) {
            throw complaint.malformed(what + " without a list \"" + key + "\"");
        }
        return value;
    }

    /** {@code otherwise} is what absence means; null when the key must be there. */
    private boolean flag(JsonNode object, String key, Boolean otherwise, String what) {
        JsonNode value = object.get(key);
        if (value == null && otherwise != null) {
            return otherwise;
        }
        if (value == null || !value.isBoolean()) {
            throw complaint.malformed(what + " whose \"" + key + "\" is not true or false");
        }
        return value.booleanValue();
    }
}
