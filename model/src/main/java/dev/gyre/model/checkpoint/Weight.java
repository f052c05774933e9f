package dev.gyre.model.checkpoint;

import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;

/**
 * A weight matrix {@code [rows, columns]} (or a vector: one row) in the dtype of its file, usually memory-mapped. One
 * of {@link DummyWeights} may have no memory; its elements are made when they are copied or decoded.
 *
 * @param name the tensor's name in the checkpoint
 * @param data row-major elements; null where they have no memory
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

    /** How many elements there are. */
    public long elements() {
        return (long) rows * columns;
    }

    /** How many scales there are; 0 but for FP8. */
    public long blocks() {
        return dtype == DType.F8_E4M3
                ? (long) Math.ceilDiv(rows, blockRows) * Math.ceilDiv(columns, blockColumns)
                : 0;
    }

    /** Bytes in the file, scales included. */
    public long bytes() {
        return elements() * dtype.bytes() + blocks() * Float.BYTES;
    }

    /** The same by format: FP8's scales are {@code F32}. */
    public Map<String, Long> formats() {
        long elements = elements() * dtype.bytes();
        return dtype == DType.F8_E4M3
                ? Map.of(dtype.name(), elements, DType.F32.name(), blocks() * Float.BYTES)
                : Map.of(dtype.name(), elements);
    }

    /** Copies the elements, row-major as in the file, to {@code target[at..]}; {@code at} in bytes. */
    public void copyData(MemorySegment target, long at) {
        if (data == null) {
            new DummyValues(this).write(0, elements(), target, at);
        } else {
            MemorySegment.copy(data, 0, target, at, data.byteSize());
        }
    }

    /** Copies FP8's scales to {@code target[at..]}; {@code at} in bytes. */
    public void copyScales(MemorySegment target, long at) {
        if (data == null) {
            new DummyValues(this).writeScales(blocks(), target, at);
        } else {
            MemorySegment.copy(scales, 0, target, at, scales.byteSize());
        }
    }


    /** The scale of the block that an element lies in; FP8 only. */
    public float scale(int row, int column) {
        long perRow = Math.ceilDiv(columns, blockColumns);
        long block = row / blockRows * perRow + column / blockColumns;
        return scales == null ? new DummyValues(this).scale(block) : scales.get(FLOAT, block * Float.BYTES);
    }

    /** The first row behind {@code row} that need not have its scales; without scales, the end. */
    public int endOfScales(int row) {
        return dtype != DType.F8_E4M3 ? rows : Math.min(rows, (row / blockRows + 1) * blockRows);
    }

    /** One element of a weight that has memory. */
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
        int count = to - from;
        long first = (long) row * columns + from;
        MemorySegment data = this.data;
        if (data == null) {
            data = MemorySegment.ofArray(new byte[count * dtype.bytes()]);
            new DummyValues(this).write(first, count, data, 0);
            first = 0;
        }
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
