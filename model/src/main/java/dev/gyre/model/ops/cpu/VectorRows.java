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

    /** The mantissa of an f32: 0 in powers of two. */
    private static final int MANTISSA = 0x7f_ffff;

    /** Where a product with FP8 weights can have their block scales. */
    enum Scales {
        /** Not FP8. */
        NONE,
        /** At the weights or at the tokens, to the same bits: what "scale_fmt": "ue8m0" in a checkpoint says. */
        POWERS_OF_TWO,
        /** At the tokens, whatever the number of tokens is. */
        ORDINARY,
        /** At the weights, whatever the number of tokens is. */
        EXTREME
    }

    private VectorRows() {}

    /** Columns [from, to) of a row into {@code target[at, at + to - from)}. */
    static void decode(Weight weight, int row, int from, int to, float[] target, int at) {
        long first = (long) row * weight.columns();
        if (weight.dtype() != DType.F8_E4M3) {
            decode(weight, first + from, to - from, target, at);
            return;
        }
        for (int start = from; start < to; ) {
            int end = Math.min(to, (start / weight.blockColumns() + 1) * weight.blockColumns());
            decodeCodes(weight, first + start, end - start, weight.scale(row, start), target, at + start - from);
            start = end;
        }
    }

    /** {@code count} rows that share their scales into {@code target[count, columns]}. */
    static void decodeRows(Weight weight, int row, int count, float[] target) {
        if (weight.dtype() != DType.F8_E4M3) {
            decode(weight, (long) row * weight.columns(), count * weight.columns(), target, 0);
            return;
        }
        for (int i = 0; i < count; i++) {
            decode(weight, row + i, 0, weight.columns(), target, i * weight.columns());
        }
    }

    /** {@code count} rows of FP8 codes, not multiplied with their scales, into {@code target[count, columns]}. */
    static void decodeCodes(Weight weight, int row, int count, float[] target) {
        decodeCodes(weight, (long) row * weight.columns(), count * weight.columns(), 1f, target, 0);
    }

    /** {@code count} elements from element {@code first} on; not FP8. */
    private static void decode(Weight weight, long first, int count, float[] target, int at) {
        int i = 0;
        if (weight.dtype() == DType.F32) {
            MemorySegment.copy(weight.data(), FLOAT, first * Float.BYTES, target, at, count);
            i = count;
        } else if (weight.dtype() == DType.BF16) {
            for (; i <= count - Lanes.COUNT; i += Lanes.COUNT) {
                Decoding.bf16(weight.data(), (first + i) * Short.BYTES).intoArray(target, at + i);
            }
        }
        for (; i < count; i++) {
            target[at + i] = weight.element(first + i);
        }
    }

    /** {@code count} codes from element {@code first} on, times a scale. */
    private static void decodeCodes(Weight weight, long first, int count, float scale, float[] target, int at) {
        MemorySegment data = weight.data();
        int i = 0;
        if (Math.abs(scale) < Decoding.FP8_SCALE_LIMIT) {
            FloatVector factor = FloatVector.broadcast(Lanes.FLOATS, scale * Decoding.FP8_FACTOR);
            for (; i <= count - Lanes.BYTES.length(); i += Lanes.COUNT) {
                Decoding.fp8(data, first + i).mul(factor).intoArray(target, at + i);
            }
        }
        for (; i < count; i++) {
            target[at + i] = CODES[data.get(ValueLayout.JAVA_BYTE, first + i) & 0xff] * scale;
        }
    }

    /** The value of an FP8 code without its scale. */
    static float code(Weight weight, int row, int column) {
        return CODES[weight.data().get(ValueLayout.JAVA_BYTE, (long) row * weight.columns() + column) & 0xff];
    }

    /** What the scales of this weight are. */
    static Scales scales(Weight weight) {
        if (weight.dtype() != DType.F8_E4M3) {
            return Scales.NONE;
        }
        boolean powers = true;
        for (int row = 0; row < weight.rows(); row += weight.blockRows()) {
            for (int column = 0; column < weight.columns(); column += weight.blockColumns()) {
                float scale = Math.abs(weight.scale(row, column));
                if (!(scale <= MOST_SCALE && (scale >= LEAST_SCALE || scale == 0))) {
                    return Scales.EXTREME;
                }
                powers &= scale == 0 || (Float.floatToRawIntBits(scale) & MANTISSA) == 0;
            }
        }
        return powers ? Scales.POWERS_OF_TWO : Scales.ORDINARY;
    }
}
