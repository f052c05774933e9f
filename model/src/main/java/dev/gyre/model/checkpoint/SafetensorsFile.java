package dev.gyre.model.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gyre.attention.EngineException;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One safetensors file (format: the safetensors project's README): eight bytes of header length, a JSON header, data.
 * Offsets are checked against the file, against each other and against dtype and shape before anything is read.
 */
final class SafetensorsFile {
    private static final ObjectMapper MAPPER = new ObjectMapper(
            JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
    /** The safetensors format's own limit. */
    private static final long LARGEST_HEADER = 100_000_000;

    /**
     * A tensor as the header describes it.
     *
     * @param dtype its dtype as spelt in the header
     * @param begin first byte in the file's data
     * @param data its bytes
     */
    record Entry(String dtype, long[] shape, long begin, MemorySegment data) {
        String shown() {
            return dtype + " " + Arrays.toString(shape);
        }
    }

    private SafetensorsFile() {}

    /** The tensors of a file; {@code where} names it in messages. */
    static Map<String, Entry> read(MemorySegment file, String where) {
        if (file.byteSize() < 8) {
            throw new EngineException(where + " is truncated: a safetensors file has at least 8 bytes.");
        }
        long header = file.get(ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0);
        if (header < 2 || header > LARGEST_HEADER || header > file.byteSize() - 8) {
            throw new EngineException(where + " is truncated or not safetensors: its header would be "
                    + Long.toUnsignedString(header) + " bytes long, and the file has " + file.byteSize() + ".");
        }
        MemorySegment data = file.asSlice(8 + header);
        Map<String, Entry> entries = entries(parse(file.asSlice(8, header), where), data, where);
        checkCoverage(entries, data.byteSize(), where);
        return entries;
    }

    private static JsonNode parse(MemorySegment header, String where) {
        try (JsonParser parser = MAPPER.createParser(header.toArray(ValueLayout.JAVA_BYTE))) {
            JsonNode root = MAPPER.readTree(parser);
            if (root != null && root.isObject()) {
                return root;
            }
            throw new EngineException(where + ": the safetensors header is not a JSON object.");
        } catch (IOException e) {
            throw new EngineException(where + ": the safetensors header is not valid JSON.", e);
        }
    }

    private static Map<String, Entry> entries(JsonNode header, MemorySegment data, String where) {
        Map<String, Entry> entries = new LinkedHashMap<>();
        header.properties().forEach(field -> {
            if (!field.getKey().equals("__metadata__")) {
                entries.put(field.getKey(), entry(field.getValue(), data, where + ": tensor " + field.getKey()));
            }
        });
        return entries;
    }

    private static Entry entry(JsonNode node, MemorySegment data, String where) {
        String dtype = node.path("dtype").asText("");
        JsonNode dimensions = node.path("shape");
        JsonNode offsets = node.path("data_offsets");
        if (dtype.isEmpty() || !dimensions.isArray() || !offsets.isArray() || offsets.size() != 2) {
            throw new EngineException(where + " lacks a dtype, a shape or two data_offsets.");
        }
        long[] shape = new long[dimensions.size()];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = natural(dimensions.get(i), where);
        }
        long begin = natural(offsets.get(0), where);
        long end = natural(offsets.get(1), where);
        if (begin > end || end > data.byteSize()) {
            throw new EngineException(where + " lies at bytes [" + begin + ", " + end + ") of " + data.byteSize()
                    + " bytes of data: the file is truncated or damaged.");
        }
        int bits = bits(dtype);
        if (bits > 0 && !spans(shape, bits, end - begin)) {
            throw new EngineException(where + " has " + (end - begin) + " bytes, which does not fit " + dtype + " "
                    + Arrays.toString(shape) + ".");
        }
        return new Entry(dtype, shape, begin, data.asSlice(begin, end - begin));
    }

    private static long natural(JsonNode node, String where) {
        if (!node.isIntegralNumber() || !node.canConvertToLong() || node.longValue() < 0) {
            throw new EngineException(where + " has " + node.toString().lines().findFirst().orElse("")
                    + " where a size or an offset is due.");
        }
        return node.longValue();
    }

    private static boolean spans(long[] shape, int bits, long bytes) {
        try {
            long size = bits;
            for (long dimension : shape) {
                size = Math.multiplyExact(size, dimension);
            }
            return size == Math.multiplyExact(bytes, 8L);
        } catch (ArithmeticException e) {
            return false;
        }
    }

    /** Bits of an element; 0 for a dtype that the format may have gained since. */
    private static int bits(String dtype) {
        return switch (dtype) {
            case "BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0" -> 8;
            case "U16", "I16", "F16", "BF16" -> 16;
            case "U32", "I32", "F32" -> 32;
            case "U64", "I64", "F64" -> 64;
            default -> 0;
        };
    }

    /** The format wants the data covered without overlap or gap. */
    private static void checkCoverage(Map<String, Entry> entries, long bytes, String where) {
        List<Map.Entry<String, Entry>> sorted = new ArrayList<>(entries.entrySet());
        sorted.sort(Comparator.comparingLong((Map.Entry<String, Entry> entry) -> entry.getValue().begin())
                .thenComparingLong(entry -> entry.getValue().data().byteSize()));
        long expected = 0;
        for (Map.Entry<String, Entry> tensor : sorted) {
            if (tensor.getValue().begin() != expected) {
                throw new EngineException(where + ": tensor " + tensor.getKey() + " begins at byte "
                        + tensor.getValue().begin() + " of the data where " + expected
                        + " is due: tensors overlap or leave a gap.");
            }
            expected += tensor.getValue().data().byteSize();
        }
        if (expected != bytes) {
            throw new EngineException(where + " has " + bytes + " bytes of data and its tensors take " + expected + ".");
        }
    }
}
