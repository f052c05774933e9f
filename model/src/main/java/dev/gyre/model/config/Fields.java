package dev.gyre.model.config;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.EngineException;

import java.io.IOException;

/** A JSON object whose fields are read with checks that name the file and the field. */
public final class Fields {
    private static final ObjectMapper MAPPER = new ObjectMapper()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
    /** No count or width of a real model comes near this; products of two still fit a long. */
    private static final int LARGEST = 1 << 26;

    private final ObjectNode node;
    private final String where;

    private Fields(ObjectNode node, String where) {
        this.node = node;
        this.where = where;
    }

    /** The object in these bytes; {@code where} names the file in messages. */
    public static Fields parse(byte[] json, String where) {
        try {
            if (MAPPER.readTree(json) instanceof ObjectNode object) {
                return new Fields(object, where);
            }
        } catch (IOException e) {
            throw new EngineException(where + " is not valid JSON: " + firstLine(e) + ".", e);
        }
        throw new EngineException(where + " does not hold a JSON object.");
    }

    private static String firstLine(IOException e) {
        String message = e instanceof com.fasterxml.jackson.core.JacksonException json
                ? json.getOriginalMessage()
                : e.getMessage();
        String first = String.valueOf(message).lines().findFirst().orElse("unreadable");
        return first.replaceAll(" \\(start marker at .*", "").replaceAll("[.\\s]+$", ""); // a place in Jackson's terms
    }

    /** Puts the fields of another object over these, objects within objects merged; null removes a field. */
    public Fields merge(Fields over) {
        ObjectNode merged = node.deepCopy();
        merge(merged, over.node);
        return new Fields(merged, where);
    }

    private static void merge(ObjectNode base, ObjectNode over) {
        over.properties().forEach(field -> {
            JsonNode value = field.getValue();
            if (value.isNull()) {
                base.remove(field.getKey());
            } else if (value instanceof ObjectNode inner && base.get(field.getKey()) instanceof ObjectNode target) {
                merge(target, inner);
            } else {
                base.set(field.getKey(), value);
            }
        });
    }

    /** Whether the field is there and not null. */
    public boolean has(String field) {
        return node.hasNonNull(field);
    }

    /** The value as it is; null where it is absent. */
    public JsonNode get(String field) {
        return has(field) ? node.get(field) : null;
    }

    /** An object within; null where it is absent. */
    public Fields object(String field) {
        if (!has(field)) {
            return null;
        }
        if (node.get(field) instanceof ObjectNode object) {
            return new Fields(object, where + ": " + field);
        }
        throw wrong(field, "an object");
    }

    /** A count of at least {@code least}. */
    public int count(String field, int least) {
        JsonNode value = required(field);
        double number = value.asDouble();
        if (!value.isNumber() || number != Math.rint(number) || number < least || number > LARGEST) {
            throw wrong(field, "a whole number from " + least + " to " + LARGEST);
        }
        return (int) number;
    }

    /** The same, or a default where the field is absent or null. */
    public int count(String field, int least, int otherwise) {
        return has(field) ? count(field, least) : otherwise;
    }

    /** A positive finite number. */
    public double positive(String field) {
        JsonNode value = required(field);
        double number = value.asDouble();
        if (!value.isNumber() || !(number > 0) || number > 1e15) {
            throw wrong(field, "a positive number");
        }
        return number;
    }

    /** The same, or a default where the field is absent or null. */
    public double positive(String field, double otherwise) {
        return has(field) ? positive(field) : otherwise;
    }

    /** True or false, or a default where the field is absent or null. */
    public boolean flag(String field, boolean otherwise) {
        if (!has(field)) {
            return otherwise;
        }
        if (!node.get(field).isBoolean()) {
            throw wrong(field, "true or false");
        }
        return node.get(field).booleanValue();
    }

    /** A string, or a default where the field is absent or null. */
    public String text(String field, String otherwise) {
        if (!has(field)) {
            return otherwise;
        }
        if (!node.get(field).isTextual()) {
            throw wrong(field, "a string");
        }
        return node.get(field).textValue();
    }

    /** The failure that a field is not what it must be. */
    public EngineException wrong(String field, String expected) {
        return new EngineException(where + ": " + field + " must be " + expected + ", found " + shown(field) + ".");
    }

    /** The failure that the file asks for something that this engine does not do. */
    public EngineException unsupported(String field, String known) {
        return new EngineException(
                where + ": " + field + " " + shown(field) + " is not supported; known: " + known + ".");
    }

    private JsonNode required(String field) {
        if (!has(field)) {
            throw new EngineException(where + ": the field " + field + " is missing.");
        }
        return node.get(field);
    }

    private String shown(String field) {
        String text = String.valueOf(node.get(field));
        return text.length() <= 60 ? text : text.substring(0, 57) + "...";
    }
}
