package dev.gyre.model.checkpoint;

import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A weight matrix {@code [rows, columns]} (or a vector: one row) in the dtype of its file, usually memory-mapped.
 *
 * @param name the tensor's name in the checkpoint
 * @param data row-major elements
 * @param scales for FP8: f32 {@code [ceil(rows / blockRows), ceil(columns / blockColumns)]}, value = fp8 * scale; else
 *     null
 */
public record Weight(
        String name,
        DType dtype,
        int rows,
        int columns,
        MemorySegment data,
        MemorySegment scales,
        int blockRows,
        int blockColumns) {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

    /** A weight without block scales. */
    public Weight(String name, DType dtype, int rows, int columns, MemorySegment data) {
        this(name, dtype, rows, columns, data, null, 1, 1);
    }

    /** Bytes in the file, scales included. */
    public long bytes() {
        return data.byteSize() + (scales == null ? 0 : scales.byteSize());
    }

    /** The scale of the block that an element lies in; FP8 only. */
    public float scale(int row, int column) {
        long perRow = Math.ceilDiv(columns, blockColumns);
        return scales.get(FLOAT, (row / blockRows * perRow + column / blockColumns) * Float.BYTES);
    }

    /** The first row behind {@code row} that need not have its scales; without scales, the end. */
    public int endOfScales(int row) {
        return scales == null ? rows : Math.min(rows, (row / blockRows + 1) * blockRows);
    }

    /** One element. */
    public float value(int row, int column) {
        float element = element((long) row * columns + column);
        return scales == null ? element : element * scale(row, column);
    }

    /** An element by its number in {@link #data}, without its scale. */
    public float element(long number) {
        return switch (dtype) {
            case F32 -> data.get(FLOAT, number * Float.BYTES);
            case F16 -> Float.float16ToFloat(data.get(SHORT, number * Short.BYTES));
            case BF16 -> Bf16.decode(data.get(SHORT, number * Short.BYTES));
            case F8_E4M3 -> Fp8E4M3.decode(data.get(ValueLayout.JAVA_BYTE, number));
        };
    }

    /** Decodes columns [from, to) of a row into {@code target[0, to - from)}. */
    public void decode(int row, int from, int to, float[] target) {
        long first = (long) row * columns + from;
        int count = to - from;
        switch (dtype) {
            case F32 -> MemorySegment.copy(data, FLOAT, first * Float.BYTES, target, 0, count);
            case F16 -> {
                for (int i = 0; i < count; i++) {
                    target[i] = Float.float16ToFloat(data.get(SHORT, (first + i) * Short.BYTES));
                }
            }
            case BF16 -> {
                for (int i = 0; i < count; i++) {
                    target[i] = Bf16.decode(data.get(SHORT, (first + i) * Short.BYTES));
                }
            }
            case F8_E4M3 -> {
                for (int start = from; start < to; ) {
                    int end = Math.min(to, (start / blockColumns + 1) * blockColumns);
                    float scale = scale(row, start);
                    for (int column = start; column < end; column++) {
                        byte bits = data.get(ValueLayout.JAVA_BYTE, first + column - from);
                        target[column - from] = Fp8E4M3.decode(bits) * scale;
                    }
                    start = end;
                }
            }
        }
    }

    /** Decodes a whole row into {@code target[0, columns)}. */
    public void decodeRow(int row, float[] target) {
        decode(row, 0, columns, target);
    }

    /** Decodes a vector (one row) into a new array. */
    public float[] toArray() {
        float[] values = new float[columns];
        decodeRow(0, values);
        return values;
    }
}
