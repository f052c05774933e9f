package dev.gyre.launcher.experiment;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.JsonSerializer;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializerProvider;
import com.fasterxml.jackson.databind.exc.ValueInstantiationException;
import com.fasterxml.jackson.databind.introspect.BeanPropertyDefinition;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import dev.gyre.attention.EngineException;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;

/** Sweeps and results as JSON: names in snake case, null for a number that is none, no field that is not known. */
final class ExperimentJson {
    static final JsonMapper MAPPER = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .addModule(new SimpleModule()
                    .addSerializer(double.class, new NullForNan())
                    .addSerializer(Double.class, new NullForNan())
                    .addDeserializer(double.class, new NanForNull()))
            .build();

    private ExperimentJson() {}

    private static final class NullForNan extends JsonSerializer<Double> {
        @Override
        public void serialize(Double value, JsonGenerator out, SerializerProvider provider) throws IOException {
            if (Double.isFinite(value)) {
                out.writeNumber(value);
            } else {
                out.writeNull();
            }
        }
    }

    private static final class NanForNull extends JsonDeserializer<Double> {
        @Override
        public Double deserialize(JsonParser in, DeserializationContext context) throws IOException {
            return in.getDoubleValue();
        }

        @Override
        public Double getNullValue(DeserializationContext context) {
            return Double.NaN;
        }
    }

    /** The value as text, over lines. */
    static String write(Object value) {
        return write(MAPPER.writerWithDefaultPrettyPrinter(), value);
    }

    /** The value on one line. */
    static String line(Object value) {
        return write(MAPPER.writer(), value);
    }

    private static String write(ObjectWriter writer, Object value) {
        try {
            return writer.writeValueAsString(value);
        } catch (JacksonException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A file that a user wrote, an object; {@code where} names it in messages. */
    static <T> T read(byte[] json, Class<T> type, String where) {
        try {
            JsonNode object = MAPPER.readTree(json);
            if (!object.isObject()) {
                throw new EngineException(where + " does not hold a JSON object.");
            }
            List<String> known = MAPPER.getSerializationConfig().introspect(MAPPER.constructType(type)).findProperties()
                    .stream()
                    .map(BeanPropertyDefinition::getName)
                    .toList();
            object.fieldNames().forEachRemaining(field -> {
                if (!known.contains(field)) { // before Jackson finds that the right one is missing
                    throw new EngineException(where + " has a field '" + field + "' that is not known; use "
                            + String.join(", ", known) + ".");
                }
            });
            return MAPPER.treeToValue(object, type);
        } catch (ValueInstantiationException e) {
            if (e.getCause() instanceof EngineException mistake) {
                throw EngineException.usage(where + ": " + mistake.getMessage());
            }
            throw new IllegalStateException(e); // a record's constructor throws nothing else
        } catch (JsonMappingException e) {
            String field = e.getPath().isEmpty() ? "" : " in " + e.getPath().getFirst().getFieldName();
            throw new EngineException(where + " holds something else than it should" + field + ".", e);
        } catch (JacksonException e) {
            throw new EngineException(where + " is not valid JSON: " + firstLine(e.getOriginalMessage()) + ".", e);
        } catch (IOException e) {
            throw new UncheckedIOException(e); // the bytes are here
        }
    }

    private static String firstLine(String message) {
        return message.lines().findFirst().orElse("unreadable").replaceAll(" \\(start marker at .*|[.\\s]+$", "");
    }
}
