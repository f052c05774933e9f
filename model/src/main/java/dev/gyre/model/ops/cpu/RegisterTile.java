package dev.gyre.model.ops.cpu;

import dev.gyre.attention.simd.Decoding;
import dev.gyre.attention.simd.Lanes;

import java.lang.foreign.MemorySegment;

import jdk.incubator.vector.FloatVector;

/**
 * Dot products of up to eight tokens with two weight rows that are decoded in registers: the tile for processors with 32
 * vector registers. A decoded vector serves eight tokens, and decoding keeps units busy that multiplication leaves
 * free; so nothing is gained by decoding a block of rows to memory first.
 *
 * <p>Every product sums in the same order as it would alone: lanes along the columns, then the lanes as in
 * {@link Lanes#sum}. The lanes of several tiles are summed together: behind each tile by itself it took twice the time,
 * as it waits for what was stored just before. Belongs to one thread.
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

    private static final int LANES = TOKENS * ROWS * Lanes.COUNT;

    private final float[] lanes = new float[SLOTS * LANES];

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
        a00.intoArray(lanes, to);
        a01.intoArray(lanes, to + Lanes.COUNT);
        a10.intoArray(lanes, to + 2 * Lanes.COUNT);
        a11.intoArray(lanes, to + 3 * Lanes.COUNT);
        a20.intoArray(lanes, to + 4 * Lanes.COUNT);
        a21.intoArray(lanes, to + 5 * Lanes.COUNT);
        a30.intoArray(lanes, to + 6 * Lanes.COUNT);
        a31.intoArray(lanes, to + 7 * Lanes.COUNT);
        a40.intoArray(lanes, to + 8 * Lanes.COUNT);
        a41.intoArray(lanes, to + 9 * Lanes.COUNT);
        a50.intoArray(lanes, to + 10 * Lanes.COUNT);
        a51.intoArray(lanes, to + 11 * Lanes.COUNT);
        a60.intoArray(lanes, to + 12 * Lanes.COUNT);
        a61.intoArray(lanes, to + 13 * Lanes.COUNT);
        a70.intoArray(lanes, to + 14 * Lanes.COUNT);
        a71.intoArray(lanes, to + 15 * Lanes.COUNT);
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
        a00.intoArray(lanes, to);
        a01.intoArray(lanes, to + Lanes.COUNT);
        a10.intoArray(lanes, to + 2 * Lanes.COUNT);
        a11.intoArray(lanes, to + 3 * Lanes.COUNT);
        a20.intoArray(lanes, to + 4 * Lanes.COUNT);
        a21.intoArray(lanes, to + 5 * Lanes.COUNT);
        a30.intoArray(lanes, to + 6 * Lanes.COUNT);
        a31.intoArray(lanes, to + 7 * Lanes.COUNT);
        a40.intoArray(lanes, to + 8 * Lanes.COUNT);
        a41.intoArray(lanes, to + 9 * Lanes.COUNT);
        a50.intoArray(lanes, to + 10 * Lanes.COUNT);
        a51.intoArray(lanes, to + 11 * Lanes.COUNT);
        a60.intoArray(lanes, to + 12 * Lanes.COUNT);
        a61.intoArray(lanes, to + 13 * Lanes.COUNT);
        a70.intoArray(lanes, to + 14 * Lanes.COUNT);
        a71.intoArray(lanes, to + 15 * Lanes.COUNT);
    }

    /** The product of a token, in [0, 8), with a row, 0 or 1: the sum of its lanes. */
    float product(int slot, int token, int row) {
        return Lanes.sum(lanes, ((slot * TOKENS + token) * ROWS + row) * Lanes.COUNT);
    }
}
