package dev.gyre.model.chat;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Map;
import java.util.Optional;

/**
 * JSON as Python's {@code json.dumps(value, ensure_ascii=False)} writes it: that is how the model saw schemas and
 * arguments in training, down to the spaces and the digits.
 */
final class PythonJson {
    private static final ObjectMapper MAPPER = new ObjectMapper(JsonFactory.builder()
            // names come from the outside, and interned ones would stay
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private PythonJson() {}

    /** The value that a text spells; empty when it is not JSON, or nests or counts beyond what Jackson lets through. */
    static Optional<JsonNode> parse(String json) {
        try {
            JsonNode node = MAPPER.readTree(json);
            return node.isMissingNode() ? Optional.empty() : Optional.of(node);
        } catch (JsonProcessingException e) {
            return Optional.empty();
        }
    }

    /** The text of a value. */
    static String write(JsonNode value) {
        var json = new StringBuilder();
        write(value, json);
        return json.toString();
    }

    /** A text as a JSON string, with its quotes. */
    static String quote(String text) {
        var json = new StringBuilder(text.length() + 2);
        quote(text, json);
        return json.toString();
    }

    private static void write(JsonNode value, StringBuilder json) {
        if (value.isObject()) {
            String separator = "{";
            for (Map.Entry<String, JsonNode> field : value.properties()) {
                json.append(separator);
                quote(field.getKey(), json);
                write(field.getValue(), json.append(": "));
                separator = ", ";
            }
            json.append(value.isEmpty() ? "{}" : "}");
        } else if (value.isArray()) {
            String separator = "[";
            for (JsonNode element : value) {
                write(element, json.append(separator));
                separator = ", ";
            }
            json.append(value.isEmpty() ? "[]" : "]");
        } else if (value.isFloatingPointNumber()) {
            json.append(number(value.doubleValue()));
        } else if (value.isTextual()) {
            quote(value.textValue(), json);
        } else {
            json.append(value.asText()); // whole numbers of any length, true, false and null
        }
    }

    private static void quote(String text, StringBuilder json) {
        json.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> json.append("\\\"");
                case '\\' -> json.append("\\\\");
                case '\n' -> json.append("\\n");
                case '\r' -> json.append("\\r");
                case '\t' -> json.append("\\t");
                case '\f' -> json.append("\\f");
                case '\b' -> json.append("\\b");
                default -> json.append(c < ' ' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
            }
        }
        json.append('"');
    }

    /** A float as Python's repr: the fewest digits that give it back, plain from 1e-4 up to 1e16. */
    static String number(double value) {
        if (!Double.isFinite(value) || value == 0) {
            return Double.toString(value);
        }
        BigDecimal shortest = new BigDecimal(Double.toString(value)).stripTrailingZeros();
        if (shortest.precision() == 2) {
            // Java never looks for fewer than two digits: it writes 4.9E-324 for what 5e-324 spells as well
            BigDecimal oneDigit = new BigDecimal(value).round(new MathContext(1));
            shortest = oneDigit.doubleValue() == value ? oneDigit.stripTrailingZeros() : shortest;
        }
        int exponent = shortest.precision() - shortest.scale() - 1;
        if (exponent >= -4 && exponent < 16) {
            String plain = shortest.toPlainString();
            return plain.indexOf('.') < 0 ? plain + ".0" : plain;
        }
        return shortest.scaleByPowerOfTen(-exponent).toPlainString() + "e" + (exponent < 0 ? "-" : "+")
                + (Math.abs(exponent) < 10 ? "0" : "") + Math.abs(exponent);
    }
}
