package dev.gyre.launcher.server;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** The JSON object of a request, read with a clear complaint about whatever is not as it should be. Null is absent. */
final class Body {
    private static final ObjectMapper MAPPER =
            new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private final JsonNode node;
    /** What stands before a field's name in a complaint: {@code messages[2].}. */
    private final String path;

    private Body(JsonNode node, String path) {
        this.node = node;
        this.path = path;
    }

    static Body parse(byte[] bytes) {
        JsonNode node;
        try {
            node = MAPPER.readTree(bytes);
        } catch (JsonProcessingException e) {
            String reason = e.getOriginalMessage().lines().findFirst().orElse("");
            String where = e.getLocation() == null
                    ? ""
                    : " (line " + e.getLocation().getLineNr() + ", column " + e.getLocation().getColumnNr() + ")";
            throw ApiError.bad(null, "the body is not valid JSON: " + reason + where + ".");
        } catch (IOException e) {
            throw ApiError.bad(null, "the body is not valid UTF-8: " + e.getMessage() + ".");
        }
        if (node == null || !node.isObject()) {
            throw ApiError.bad(null, "the body must be a JSON object.");
        }
        return new Body(node, "");
    }

    /** An empty object. */
    static Body empty() {
        return new Body(MAPPER.createObjectNode(), "");
    }

    boolean has(String name) {
        return get(name) != null;
    }

    /** The value as it is; null where it is absent. */
    JsonNode get(String name) {
        JsonNode value = node.get(name);
        return value == null || value.isNull() ? null : value;
    }

    /** The object itself. */
    JsonNode node() {
        return node;
    }

    /** Where a field stands, for complaints. */
    String path(String name) {
        return path + name;
    }

    ApiError wrong(String name, String wanted) {
        JsonNode value = node.get(name);
        String shown;
        if (value == null) {
            shown = "absent";
        } else if (value.isContainerNode()) {
            shown = value.isArray() ? "an array" : "an object";
        } else {
            shown = shorten(value.toString());
        }
        return ApiError.bad(path + name, path + name + " must be " + wanted + ", not " + shown + ".");
    }

    private static String shorten(String text) {
        return text.length() <= 60 ? text : text.substring(0, 57) + "...";
    }

    String text(String name, String otherwise) {
        JsonNode value = get(name);
        if (value == null) {
            return otherwise;
        }
        if (!value.isTextual()) {
            throw wrong(name, "a string");
        }
        return value.textValue();
    }

    String text(String name) {
        String value = text(name, null);
        if (value == null) {
            throw ApiError.bad(path + name, path + name + " is missing.");
        }
        return value;
    }

    boolean flag(String name, boolean otherwise) {
        JsonNode value = get(name);
        if (value != null && !value.isBoolean()) {
            throw wrong(name, "true or false");
        }
        return value == null ? otherwise : value.booleanValue();
    }

    int integer(String name, int otherwise, int least, int most) {
        return (int) whole(name, otherwise, least, most);
    }

    long whole(String name, long otherwise, long least, long most) {
        JsonNode value = get(name);
        if (value == null) {
            return otherwise;
        }
        boolean whole = value.isIntegralNumber() && value.canConvertToLong();
        if (!whole || value.longValue() < least || value.longValue() > most) {
            throw wrong(name, "a whole number from " + least + " to " + most);
        }
        return value.longValue();
    }

    double number(String name, double otherwise, double least, double most) {
        JsonNode value = get(name);
        if (value == null) {
            return otherwise;
        }
        if (!value.isNumber() || !(value.doubleValue() >= least && value.doubleValue() <= most)) {
            throw wrong(name, "a number from " + least + " to " + most);
        }
        return value.doubleValue();
    }

    /** A string or an array of strings; empty where it is absent. */
    List<String> texts(String name, int most) {
        JsonNode value = get(name);
        List<String> texts = new ArrayList<>();
        if (value != null && value.isTextual()) {
            texts.add(value.textValue());
        } else if (value != null) {
            if (!value.isArray() || value.size() > most) {
                throw wrong(name, "a string or an array of at most " + most + " strings");
            }
            for (JsonNode element : value) {
                if (!element.isTextual()) {
                    throw wrong(name, "a string or an array of strings");
                }
                texts.add(element.textValue());
            }
        }
        return texts;
    }

    /** An array of token ids. */
    int[] ids(String name, int vocabulary) {
        JsonNode value = get(name);
        return value == null ? new int[0] : ids(value, path + name, vocabulary);
    }

    static int[] ids(JsonNode array, String path, int vocabulary) {
        if (!array.isArray()) {
            throw ApiError.bad(path, path + " must be an array of token ids.");
        }
        int[] ids = new int[array.size()];
        for (int i = 0; i < ids.length; i++) {
            JsonNode id = array.get(i);
            if (!id.isIntegralNumber() || !id.canConvertToInt() || id.intValue() < 0 || id.intValue() >= vocabulary) {
                throw ApiError.bad(path, path + "[" + i + "] must be a token id from 0 to " + (vocabulary - 1)
                        + ", not " + shorten(id.toString()) + ".");
            }
            ids[i] = id.intValue();
        }
        return ids;
    }

    /** An object within; empty where it is absent. */
    Body object(String name) {
        JsonNode value = get(name);
        if (value == null) {
            return new Body(MAPPER.createObjectNode(), path + name + ".");
        }
        if (!value.isObject()) {
            throw wrong(name, "an object");
        }
        return new Body(value, path + name + ".");
    }

    /** The objects of an array within; empty where it is absent. */
    List<Body> objects(String name) {
        JsonNode value = get(name);
        List<Body> objects = new ArrayList<>();
        if (value != null) {
            if (!value.isArray()) {
                throw wrong(name, "an array of objects");
            }
            for (int i = 0; i < value.size(); i++) {
                String at = path + name + "[" + i + "]";
                if (!value.get(i).isObject()) {
                    throw ApiError.bad(at, at + " must be an object.");
                }
                objects.add(new Body(value.get(i), at + "."));
            }
        }
        return objects;
    }

    /** Complains where something is asked for that this server does not do. */
    void refuse(String name, String why) {
        JsonNode value = get(name);
        boolean nothing = value == null
                || value.isBoolean() && !value.booleanValue()
                || value.isNumber() && value.doubleValue() == 0
                || value.isTextual() && value.textValue().isEmpty()
                || value.isContainerNode() && value.isEmpty();
        if (!nothing) {
            throw ApiError.bad(path + name, path + name + " is not supported" + why + ".");
        }
    }
}
