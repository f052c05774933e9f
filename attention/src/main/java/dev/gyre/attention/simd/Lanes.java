package dev.gyre.attention.simd;

import java.nio.ByteOrder;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/** The vector shapes in use, and the two operations on lanes that must give the same bits always. */
public final class Lanes {
    /** Floats in the widest vector of the machine. */
    public static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
    /** As many ints. */
    public static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
    /** As many bf16 or f16. */
    public static final VectorSpecies<Short> SHORTS =
            VectorSpecies.of(short.class, VectorShape.forBitSize(FLOATS.length() * Short.SIZE));
    /** As many bytes; on 128-bit machines there is no vector of 4 bytes, so the least is 8. */
    public static final VectorSpecies<Byte> BYTES =
            VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, FLOATS.length() * Byte.SIZE)));
    /** Lanes of {@link #FLOATS}. */
    public static final int COUNT = FLOATS.length();
    /** The order in which memory holds numbers. */
    public static final ByteOrder ORDER = ByteOrder.nativeOrder();

    /** Exchanges lanes that are so far apart; {@link #sum} adds in this order. */
    public static final VectorShuffle<Float> SWAP8 = swap(8);
    /** As {@link #SWAP8}. */
    public static final VectorShuffle<Float> SWAP4 = swap(4);
    /** As {@link #SWAP8}. */
    public static final VectorShuffle<Float> SWAP2 = swap(2);
    /** As {@link #SWAP8}. */
    public static final VectorShuffle<Float> SWAP1 = swap(1);

    private static final float LOG2_E = 1.44269504f;
    private static final float LN2_HIGH = 0.693359375f;
    private static final float LN2_LOW = -2.12194440e-4f;

    private Lanes() {}

    private static VectorShuffle<Float> swap(int distance) {
        return VectorShuffle.fromOp(FLOATS, lane -> (lane ^ distance) % COUNT);
    }

    /** The sum of the lanes, halves first: an order that {@code reduceLanes} does not promise. */
    public static float sum(FloatVector v) {
        FloatVector sum = v;
        if (COUNT >= 16) {
            sum = sum.add(sum.rearrange(SWAP8));
        }
        if (COUNT >= 8) {
            sum = sum.add(sum.rearrange(SWAP4));
        }
        if (COUNT >= 4) {
            sum = sum.add(sum.rearrange(SWAP2));
        }
        return sum.add(sum.rearrange(SWAP1)).lane(0);
    }

    /** The same sum, in the same order, of lanes that lie in {@code lanes[at, at + COUNT)}. */
    public static float sum(float[] lanes, int at) {
        if (COUNT == 4) {
            return lanes[at] + lanes[at + 2] + (lanes[at + 1] + lanes[at + 3]);
        }
        if (COUNT == 8) {
            return lanes[at] + lanes[at + 4] + (lanes[at + 2] + lanes[at + 6])
                    + (lanes[at + 1] + lanes[at + 5] + (lanes[at + 3] + lanes[at + 7]));
        }
        return sum(FloatVector.fromArray(FLOATS, lanes, at));
    }

    /**
     * e to the x for x at most about 88, within 2 units in the last place; 0 below -87.
     *
     * <p>x = n ln 2 + r with |r| at most ln 2 / 2; e^r by its Taylor polynomial of degree 7, 2^n by adding n to the
     * exponent.
     */
    public static FloatVector exp(FloatVector x) {
        FloatVector bounded = x.max(-87f);
        // adding and subtracting 1.5 * 2^23 rounds to an integer
        FloatVector shifted = bounded.mul(LOG2_E).add(12582912f);
        FloatVector n = shifted.sub(12582912f);
        FloatVector r = n.fma(FloatVector.broadcast(FLOATS, -LN2_HIGH), bounded);
        r = n.fma(FloatVector.broadcast(FLOATS, -LN2_LOW), r);
        FloatVector p = FloatVector.broadcast(FLOATS, 1f / 5040);
        p = p.fma(r, FloatVector.broadcast(FLOATS, 1f / 720));
        p = p.fma(r, FloatVector.broadcast(FLOATS, 1f / 120));
        p = p.fma(r, FloatVector.broadcast(FLOATS, 1f / 24));
        p = p.fma(r, FloatVector.broadcast(FLOATS, 1f / 6));
        p = p.fma(r, FloatVector.broadcast(FLOATS, 0.5f));
        p = p.fma(r, FloatVector.broadcast(FLOATS, 1f));
        p = p.fma(r, FloatVector.broadcast(FLOATS, 1f));
        // the low bits of the shifted number are n
        IntVector exponent = shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
        FloatVector result = p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
        return result.blend(FloatVector.zero(FLOATS), x.lt(-87f));
    }

    /** {@link #exp(FloatVector)} of one number, to the same bits. */
    public static float exp(float x) {
        return exp(FloatVector.broadcast(FLOATS, x)).lane(0);
    }
}
