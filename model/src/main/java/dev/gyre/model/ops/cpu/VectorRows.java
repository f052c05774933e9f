package dev.gyre.model.ops.cpu;

import dev.gyre.attention.simd.Decoding;
import dev.gyre.attention.simd.Lanes;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

import jdk.incubator.vector.FloatVector;

/** Decodes weight rows with vectors, to the same bits as {@link Weight#decode}. */
final class VectorRows {
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
                    if (isOrdinary(scale)) {
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

    /** Whether a block scale times {@link Decoding#FP8_FACTOR} is a finite number that decodes exactly. */
    static boolean isOrdinary(float scale) {
        return Math.abs(scale) < Decoding.FP8_SCALE_LIMIT;
    }

    /**
     * Whether {@link VectorDots#one} can decode the weight in registers: bf16, or FP8 whose blocks are a power of two wide
     * and hold whole vectors and whose scales are plain.
     */
    static boolean inRegisters(Weight weight) {
        if (weight.dtype() != DType.F8_E4M3) {
            return weight.dtype() == DType.BF16;
        }
        if (Lanes.BYTES.length() != Lanes.COUNT || Integer.bitCount(weight.blockColumns()) != 1
                || weight.blockColumns() < Lanes.COUNT) {
            return false;
        }
        for (int row = 0; row < weight.rows(); row += weight.blockRows()) {
            for (int column = 0; column < weight.columns(); column += weight.blockColumns()) {
                if (!isOrdinary(weight.scale(row, column))) {
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
