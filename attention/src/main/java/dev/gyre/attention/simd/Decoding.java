package dev.gyre.attention.simd;

import java.lang.foreign.MemorySegment;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/** Loads of {@link Lanes#COUNT} numbers in small formats, decoded in registers. */
public final class Decoding {
    /**
     * What a vector of {@link #fp8} must be multiplied with, besides its block scale: E4M3's bits at the place of a
     * float's exponent and mantissa are the value times 2^-120.
     */
    public static final float FP8_FACTOR = 0x1p120f;
    /** Block scales from here on would overflow when multiplied with {@link #FP8_FACTOR}. */
    public static final float FP8_SCALE_LIMIT = 0x1p7f;

    private static final int FP8_BITS = 0x87f0_0000;

    private Decoding() {}

    /** bf16: the upper half of a float. */
    public static FloatVector bf16(MemorySegment segment, long offset) {
        return ((IntVector) ShortVector.fromMemorySegment(Lanes.SHORTS, segment, offset, Lanes.ORDER)
                        .convertShape(VectorOperators.ZERO_EXTEND_S2I, Lanes.INTS, 0))
                .lanewise(VectorOperators.LSHL, 16)
                .reinterpretAsFloats();
    }

    /**
     * FP8 E4M3 times 2^-120, exactly: sign extension leaves the sign at the top, a shift by 20 puts exponent and
     * mantissa in place, and the mask clears the copies of the sign between. (NaN bytes become 480 * 2^-120: a
     * checkpoint has none.) On 128-bit machines it reads 8 bytes and uses 4.
     */
    public static FloatVector fp8(MemorySegment segment, long offset) {
        return ((IntVector) ByteVector.fromMemorySegment(Lanes.BYTES, segment, offset, Lanes.ORDER)
                        .convertShape(VectorOperators.B2I, Lanes.INTS, 0))
                .lanewise(VectorOperators.LSHL, 20)
                .and(FP8_BITS)
                .reinterpretAsFloats();
    }
}
