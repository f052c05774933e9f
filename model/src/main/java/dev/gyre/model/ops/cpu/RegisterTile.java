package dev.gyre.model.ops.cpu;

import dev.gyre.attention.simd.Decoding;
import dev.gyre.attention.simd.Lanes;

import java.lang.foreign.MemorySegment;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/**
 * Dot products of up to eight tokens with two weight rows that are decoded in registers: the tile for processors with 32
 * vector registers. A decoded vector serves eight tokens, and decoding keeps units busy that multiplication leaves
 * free; so nothing is gained by decoding a block of rows to memory first.
 *
 * <p>Every product sums in the same order as it would alone: lanes along the columns, then the lanes as in
 * {@link Lanes#sum}, but those of two products in one vector, {@code [a's first half + a's second | b's second + b's first]}
 * and so on, until a vector holds a token's products with 16 rows. Alone each would take four shuffles and be a number that
 * is stored by itself, half again as much time where rows have 128 columns. Belongs to one thread.
 */
final class RegisterTile {
    /** Tokens of a tile. */
    static final int TOKENS = 8;
    /** Weight rows of a tile. */
    static final int ROWS = 2;
    /** Tiles whose lanes are summed together. */
    static final int SLOTS = 8;
    /** Whether to use it: processors with vectors of 16 floats have the registers. */
    static final boolean FITS = Lanes.COUNT >= 16;

    private static final int LANES = TOKENS * Lanes.COUNT;

    /** Of every 16 lanes the last 8, of every 8 the last 4, and so on. */
    private static final VectorMask<Float> SECOND8 = second(8);
    private static final VectorMask<Float> SECOND4 = second(4);
    private static final VectorMask<Float> SECOND2 = second(2);
    private static final VectorMask<Float> SECOND1 = second(1);

    /** {@code [SLOTS, TOKENS, Lanes.COUNT]}: half of the lanes are a row's, the others the other row's. */
    private final float[] lanes = new float[SLOTS * LANES];

    private static VectorMask<Float> second(int distance) {
        boolean[] lanes = new boolean[Lanes.COUNT];
        for (int lane = 0; lane < lanes.length; lane++) {
            lanes[lane] = (lane & distance) != 0;
        }
        return VectorMask.fromArray(Lanes.FLOATS, lanes, 0);
    }

    /**
     * Multiplies {@code count} columns of tokens, {@code stride} apart from {@code x[at]} on, with FP8 codes from elements
     * row0 and row1 on; the products are 2^-120 of what they should be. What lies behind the last whole vector is not
     * looked at.
     *
     * @param slot where the products go, in [0, {@link #SLOTS})
     * @param tokens at least 1
     */
    void fp8(
            int slot, float[] x, int at, int stride, int tokens, MemorySegment data, long row0, long row1, int count) {
        int end = Lanes.FLOATS.loopBound(count);
        int x0 = at;
        int x1 = at + Math.min(1, tokens - 1) * stride;
        int x2 = at + Math.min(2, tokens - 1) * stride;
        int x3 = at + Math.min(3, tokens - 1) * stride;
        int x4 = at + Math.min(4, tokens - 1) * stride;
        int x5 = at + Math.min(5, tokens - 1) * stride;
        int x6 = at + Math.min(6, tokens - 1) * stride;
        int x7 = at + Math.min(7, tokens - 1) * stride;
        FloatVector a00 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a01 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        FloatVector a40 = a00;
        FloatVector a41 = a00;
        FloatVector a50 = a00;
        FloatVector a51 = a00;
        FloatVector a60 = a00;
        FloatVector a61 = a00;
        FloatVector a70 = a00;
        FloatVector a71 = a00;
        for (int i = 0; i < end; i += Lanes.COUNT) {
            FloatVector w0 = Decoding.fp8(data, row0 + i);
            FloatVector w1 = Decoding.fp8(data, row1 + i);
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, x0 + i);
            a00 = v.fma(w0, a00);
            a01 = v.fma(w1, a01);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x1 + i);
            a10 = v.fma(w0, a10);
            a11 = v.fma(w1, a11);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x2 + i);
            a20 = v.fma(w0, a20);
            a21 = v.fma(w1, a21);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x3 + i);
            a30 = v.fma(w0, a30);
            a31 = v.fma(w1, a31);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x4 + i);
            a40 = v.fma(w0, a40);
            a41 = v.fma(w1, a41);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x5 + i);
            a50 = v.fma(w0, a50);
            a51 = v.fma(w1, a51);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x6 + i);
            a60 = v.fma(w0, a60);
            a61 = v.fma(w1, a61);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x7 + i);
            a70 = v.fma(w0, a70);
            a71 = v.fma(w1, a71);
        }
        int to = slot * LANES;
        a00.blend(a01, SECOND8).add(a01.blend(a00, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to);
        a10.blend(a11, SECOND8).add(a11.blend(a10, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + Lanes.COUNT);
        a20.blend(a21, SECOND8).add(a21.blend(a20, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 2 * Lanes.COUNT);
        a30.blend(a31, SECOND8).add(a31.blend(a30, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 3 * Lanes.COUNT);
        a40.blend(a41, SECOND8).add(a41.blend(a40, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 4 * Lanes.COUNT);
        a50.blend(a51, SECOND8).add(a51.blend(a50, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 5 * Lanes.COUNT);
        a60.blend(a61, SECOND8).add(a61.blend(a60, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 6 * Lanes.COUNT);
        a70.blend(a71, SECOND8).add(a71.blend(a70, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 7 * Lanes.COUNT);
    }

    /** The same with bf16; the products are what they should be. */
    void bf16(
            int slot, float[] x, int at, int stride, int tokens, MemorySegment data, long row0, long row1, int count) {
        int end = Lanes.FLOATS.loopBound(count);
        int x0 = at;
        int x1 = at + Math.min(1, tokens - 1) * stride;
        int x2 = at + Math.min(2, tokens - 1) * stride;
        int x3 = at + Math.min(3, tokens - 1) * stride;
        int x4 = at + Math.min(4, tokens - 1) * stride;
        int x5 = at + Math.min(5, tokens - 1) * stride;
        int x6 = at + Math.min(6, tokens - 1) * stride;
        int x7 = at + Math.min(7, tokens - 1) * stride;
        FloatVector a00 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a01 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        FloatVector a40 = a00;
        FloatVector a41 = a00;
        FloatVector a50 = a00;
        FloatVector a51 = a00;
        FloatVector a60 = a00;
        FloatVector a61 = a00;
        FloatVector a70 = a00;
        FloatVector a71 = a00;
        for (int i = 0; i < end; i += Lanes.COUNT) {
            FloatVector w0 = Decoding.bf16(data, (row0 + i) * Short.BYTES);
            FloatVector w1 = Decoding.bf16(data, (row1 + i) * Short.BYTES);
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, x0 + i);
            a00 = v.fma(w0, a00);
            a01 = v.fma(w1, a01);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x1 + i);
            a10 = v.fma(w0, a10);
            a11 = v.fma(w1, a11);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x2 + i);
            a20 = v.fma(w0, a20);
            a21 = v.fma(w1, a21);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x3 + i);
            a30 = v.fma(w0, a30);
            a31 = v.fma(w1, a31);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x4 + i);
            a40 = v.fma(w0, a40);
            a41 = v.fma(w1, a41);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x5 + i);
            a50 = v.fma(w0, a50);
            a51 = v.fma(w1, a51);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x6 + i);
            a60 = v.fma(w0, a60);
            a61 = v.fma(w1, a61);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x7 + i);
            a70 = v.fma(w0, a70);
            a71 = v.fma(w1, a71);
        }
        int to = slot * LANES;
        a00.blend(a01, SECOND8).add(a01.blend(a00, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to);
        a10.blend(a11, SECOND8).add(a11.blend(a10, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + Lanes.COUNT);
        a20.blend(a21, SECOND8).add(a21.blend(a20, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 2 * Lanes.COUNT);
        a30.blend(a31, SECOND8).add(a31.blend(a30, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 3 * Lanes.COUNT);
        a40.blend(a41, SECOND8).add(a41.blend(a40, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 4 * Lanes.COUNT);
        a50.blend(a51, SECOND8).add(a51.blend(a50, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 5 * Lanes.COUNT);
        a60.blend(a61, SECOND8).add(a61.blend(a60, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 6 * Lanes.COUNT);
        a70.blend(a71, SECOND8).add(a71.blend(a70, SECOND8).rearrange(Lanes.SWAP8)).intoArray(lanes, to + 7 * Lanes.COUNT);
    }

    /** Sums the lanes of all slots; what {@link #products} gives is of these. */
    void sum() {
        int half = LANES * SLOTS / 2;
        for (int i = 0; i < half; i += Lanes.COUNT) {
            FloatVector a = FloatVector.fromArray(Lanes.FLOATS, lanes, i);
            FloatVector b = FloatVector.fromArray(Lanes.FLOATS, lanes, i + half);
            a.blend(b, SECOND4).add(b.blend(a, SECOND4).rearrange(Lanes.SWAP4)).intoArray(lanes, i);
        }
        half /= 2;
        for (int i = 0; i < half; i += Lanes.COUNT) {
            FloatVector a = FloatVector.fromArray(Lanes.FLOATS, lanes, i);
            FloatVector b = FloatVector.fromArray(Lanes.FLOATS, lanes, i + half);
            a.blend(b, SECOND2).add(b.blend(a, SECOND2).rearrange(Lanes.SWAP2)).intoArray(lanes, i);
        }
        half /= 2;
        for (int i = 0; i < half; i += Lanes.COUNT) {
            FloatVector a = FloatVector.fromArray(Lanes.FLOATS, lanes, i);
            FloatVector b = FloatVector.fromArray(Lanes.FLOATS, lanes, i + half);
            a.blend(b, SECOND1).add(b.blend(a, SECOND1).rearrange(Lanes.SWAP1)).intoArray(lanes, i);
        }
    }

    /** The products of a token, in [0, 8): with the first rows of all slots, then with the second ones. */
    FloatVector products(int token) {
        return FloatVector.fromArray(Lanes.FLOATS, lanes, token * Lanes.COUNT);
    }
}
