package dev.gyre.model.ops.cpu;

import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.attention.simd.Decoding;
import dev.gyre.attention.simd.Lanes;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

import jdk.incubator.vector.FloatVector;

/** Decodes weight rows with vectors, to the same bits as {@link Weight#decode}. */
final class VectorRows {
    /** Scales of real checkpoints are far from these; beyond them tokens could leave the range of f32 on the way. */
    private static final float LEAST_SCALE = 0x1p-30f;
    private static final float MOST_SCALE = 0x1p10f;
    private static final float[] CODES = Fp8E4M3.table();
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    private VectorRows() {}

    /** Columns [from, to) of a row into {@code target[at, at + to - from)}. */
    static void decode(Weight weight, int row, int from, int to, float[] target, int at) {
        long first = (long) row * weight.columns();
        switch (weight.dtype()) {
            case F32 -> MemorySegment.copy(
                    weight.data(), FLOAT, (first + from) * Float.BYTES, target, at, to - from);
            case BF16 -> {
                int i = from;
                for (; i <= to - Lanes.COUNT; i += Lanes.COUNT) {
                    Decoding.bf16(weight.data(), (first + i) * Short.BYTES).intoArray(target, at + i - from);
                }
                rest(weight, row, i, to, target, at + i - from);
            }
            case F16 -> rest(weight, row, from, to, target, at);
            case F8_E4M3 -> {
                for (int start = from; start < to; ) {
                    int end = Math.min(to, (start / weight.blockColumns() + 1) * weight.blockColumns());
                    float scale = weight.scale(row, start);
                    int i = start;
                    if (Math.abs(scale) < Decoding.FP8_SCALE_LIMIT) {
                        FloatVector factor = FloatVector.broadcast(Lanes.FLOATS, scale * Decoding.FP8_FACTOR);
                        for (; i <= end - Lanes.BYTES.length(); i += Lanes.COUNT) {
                            Decoding.fp8(weight.data(), first + i).mul(factor).intoArray(target, at + i - from);
                        }
                    }
                    rest(weight, row, i, end, target, at + i - from);
                    start = end;
                }
            }
        }
    }

    /** A row of FP8 codes, not multiplied with their scales, into {@code target[at, at + columns)}. */
    static void decodeCodes(Weight weight, int row, float[] target, int at) {
        long first = (long) row * weight.columns();
        int i = 0;
        for (; i <= weight.columns() - Lanes.BYTES.length(); i += Lanes.COUNT) {
            Decoding.fp8(weight.data(), first + i).mul(Decoding.FP8_FACTOR).intoArray(target, at + i);
        }
        for (; i < weight.columns(); i++) {
            target[at + i] = code(weight, row, i);
        }
    }

    /** The value of an FP8 code without its scale. */
    static float code(Weight weight, int row, int column) {
        return CODES[weight.data().get(ValueLayout.JAVA_BYTE, (long) row * weight.columns() + column) & 0xff];
    }

    /** Whether the tokens can be multiplied with the block scales in place of the weights: FP8 with ordinary scales. */
    static boolean scalesCanMove(Weight weight) {
        if (weight.dtype() != DType.F8_E4M3) {
            return false;
        }
        for (int row = 0; row < weight.rows(); row += weight.blockRows()) {
            for (int column = 0; column < weight.columns(); column += weight.blockColumns()) {
                float scale = Math.abs(weight.scale(row, column));
                if (!(scale <= MOST_SCALE && (scale >= LEAST_SCALE || scale == 0))) {
                    return false;
                }
            }
        }
        return true;
    }

    private static void rest(Weight weight, int row, int from, int to, float[] target, int at) {
        for (int i = from; i < to; i++) {
            target[at + i - from] = weight.value(row, i);
        }
    }
}
