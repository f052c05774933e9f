package dev.gyre.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Builds safetensors files, good ones and, through {@link #header}, bad ones. */
public final class TensorFile {
    /** The header; change it to make a bad file. */
    public final ObjectNode header = new ObjectMapper().createObjectNode();

    private final ByteArrayOutputStream data = new ByteArrayOutputStream();

    /** Adds a tensor behind the others. */
    public TensorFile add(String name, String dtype, byte[] bytes, long... shape) {
        ObjectNode entry = header.putObject(name).put("dtype", dtype);
        entry.putArray("shape");
        for (long dimension : shape) {
            entry.withArray("shape").add(dimension);
        }
        entry.putArray("data_offsets").add(data.size()).add(data.size() + bytes.length);
        data.writeBytes(bytes);
        return this;
    }

    /** Adds an F32 tensor. */
    public TensorFile addFloats(String name, float[] values, long... shape) {
        return add(name, "F32", littleEndian(values), shape);
    }

    /** The description of a tensor. */
    public ObjectNode entry(String name) {
        return (ObjectNode) header.get(name);
    }

    /** The data part. */
    public byte[] data() {
        return data.toByteArray();
    }

    /** The file. */
    public byte[] bytes() {
        return of(header.toString(), data());
    }

    /** A file with any text as its header. */
    public static byte[] of(String header, byte[] data) {
        byte[] head = header.getBytes(StandardCharsets.UTF_8);
        return of(head.length, head, data);
    }

    /** A file that says that its header is {@code length} bytes long, whatever it is. */
    public static byte[] of(long length, byte[] header, byte[] data) {
        return ByteBuffer.allocate(8 + header.length + data.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .put(header)
                .put(data)
                .array();
    }

    /** The bytes of f32 values. */
    public static byte[] littleEndian(float... values) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return bytes.array();
    }

    /** The bytes of 16-bit values. */
    public static byte[] littleEndian(short... values) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * Short.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asShortBuffer().put(values);
        return bytes.array();
    }
}
