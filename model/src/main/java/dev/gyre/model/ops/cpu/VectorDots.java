package dev.gyre.model.ops.cpu;

import dev.gyre.attention.simd.Decoding;
import dev.gyre.attention.simd.Lanes;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;

import java.lang.foreign.MemorySegment;

import jdk.incubator.vector.FloatVector;

/**
 * Dot products of tokens with weight rows, all in one order of sums: pieces of {@link #PIECE} columns one after the
 * other; in a piece, lanes along the columns, then the lanes, then the columns behind the last whole vector. Belongs
 * to one worker.
 */
final class VectorDots {
    /**
     * Columns of a piece. Pieces of 1024, whose operands fit a first-level cache, took half as long again: the loops are
     * too short for what it costs to begin them.
     */
    static final int PIECE = 8192;

    /** Tokens and weight rows that are multiplied together where tokens are many. */
    private static final int TOKENS = 4;
    private static final int ROWS = 3;

    /** Beyond it e^x is near the largest float; x / e^-x is 0 long before. */
    private static final float EXP_LIMIT = 87f;

    /** Sums by lanes, on their way to one number: kept as vectors until then, they would become objects. */
    private final float[] lanes = new float[TOKENS * ROWS * Lanes.COUNT];
    private float[] factors = new float[0];

    /**
     * {@code out[t, output + i] = x[t, input:] . block[i]} for every token and each of {@code count} decoded rows.
     *
     * @param block {@code [count, columns]}
     */
    void many(
            int tokens, HostTensor x, int input, float[] block, int count, int columns, HostTensor out, int output) {
        int token = 0;
        for (; token + 4 <= tokens; token += 4) {
            for (int piece = 0; piece < columns; piece += PIECE) {
                int end = Math.min(piece + PIECE, columns);
                int i = 0;
                for (; i + 3 <= count; i += 3) {
                    fourByThree(x, token, input, block, i, columns, piece, end, out, output + i);
                }
                for (; i < count; i++) {
                    for (int t = token; t < token + 4; t++) {
                        oneByOne(x, t, input, block, i, columns, piece, end, out, output + i);
                    }
                }
            }
        }
        for (; token < tokens; token++) {
            for (int piece = 0; piece < columns; piece += PIECE) {
                int end = Math.min(piece + PIECE, columns);
                for (int i = 0; i < count; i++) {
                    oneByOne(x, token, input, block, i, columns, piece, end, out, output + i);
                }
            }
        }
    }

    private void fourByThree(
            HostTensor x,
            int token,
            int input,
            float[] block,
            int row,
            int columns,
            int from,
            int to,
            HostTensor out,
            int output) {
        float[] data = x.data();
        int x0 = x.row(token) + input;
        int x1 = x.row(token + 1) + input;
        int x2 = x.row(token + 2) + input;
        int x3 = x.row(token + 3) + input;
        int w0 = row * columns;
        int w1 = w0 + columns;
        int w2 = w1 + columns;
        int end = from + Lanes.FLOATS.loopBound(to - from);
        FloatVector a00 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a01 = a00;
        FloatVector a02 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a12 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a22 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        FloatVector a32 = a00;
        for (int i = from; i < end; i += Lanes.COUNT) {
            FloatVector y0 = FloatVector.fromArray(Lanes.FLOATS, block, w0 + i);
            FloatVector y1 = FloatVector.fromArray(Lanes.FLOATS, block, w1 + i);
            FloatVector y2 = FloatVector.fromArray(Lanes.FLOATS, block, w2 + i);
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, data, x0 + i);
            a00 = v.fma(y0, a00);
            a01 = v.fma(y1, a01);
            a02 = v.fma(y2, a02);
            v = FloatVector.fromArray(Lanes.FLOATS, data, x1 + i);
            a10 = v.fma(y0, a10);
            a11 = v.fma(y1, a11);
            a12 = v.fma(y2, a12);
            v = FloatVector.fromArray(Lanes.FLOATS, data, x2 + i);
            a20 = v.fma(y0, a20);
            a21 = v.fma(y1, a21);
            a22 = v.fma(y2, a22);
            v = FloatVector.fromArray(Lanes.FLOATS, data, x3 + i);
            a30 = v.fma(y0, a30);
            a31 = v.fma(y1, a31);
            a32 = v.fma(y2, a32);
        }
        a00.intoArray(lanes, 0);
        a01.intoArray(lanes, Lanes.COUNT);
        a02.intoArray(lanes, 2 * Lanes.COUNT);
        a10.intoArray(lanes, 3 * Lanes.COUNT);
        a11.intoArray(lanes, 4 * Lanes.COUNT);
        a12.intoArray(lanes, 5 * Lanes.COUNT);
        a20.intoArray(lanes, 6 * Lanes.COUNT);
        a21.intoArray(lanes, 7 * Lanes.COUNT);
        a22.intoArray(lanes, 8 * Lanes.COUNT);
        a30.intoArray(lanes, 9 * Lanes.COUNT);
        a31.intoArray(lanes, 10 * Lanes.COUNT);
        a32.intoArray(lanes, 11 * Lanes.COUNT);
        for (int t = 0; t < TOKENS; t++) {
            for (int r = 0; r < ROWS; r++) {
                finish(t * ROWS + r, data, x.row(token + t) + input, block, w0 + r * columns, from, end, to,
                        out.data(), out.row(token + t) + output + r);
            }
        }
    }

    private void oneByOne(
            HostTensor x,
            int token,
            int input,
            float[] block,
            int row,
            int columns,
            int from,
            int to,
            HostTensor out,
            int output) {
        int at = x.row(token) + input;
        int w = row * columns;
        int end = from + Lanes.FLOATS.loopBound(to - from);
        FloatVector a = FloatVector.zero(Lanes.FLOATS);
        for (int i = from; i < end; i += Lanes.COUNT) {
            a = FloatVector.fromArray(Lanes.FLOATS, x.data(), at + i)
                    .fma(FloatVector.fromArray(Lanes.FLOATS, block, w + i), a);
        }
        a.intoArray(lanes, 0);
        finish(0, x.data(), at, block, w, from, end, to, out.data(), out.row(token) + output);
    }

    /**
     * Sums the lanes of the i-th vector, adds the columns from {@code end} on, and adds the piece to those before it.
     */
    private void finish(
            int i, float[] x, int at, float[] w, int row, int from, int end, int to, float[] out, int output) {
        float sum = Lanes.sum(lanes, i * Lanes.COUNT);
        for (int c = end; c < to; c++) {
            sum = Math.fma(x[at + c], w[row + c], sum);
        }
        out[output] = from == 0 ? sum : out[output] + sum;
    }

    /** {@code out[output + i] = x . weight[row + i]} for one token and {@code count} rows decoded in registers. */
    void one(float[] x, int at, Weight weight, int row, int count, float[] out, int output) {
        for (int piece = 0; piece < weight.columns(); piece += PIECE) {
            int to = Math.min(piece + PIECE, weight.columns());
            int i = 0;
            for (; i + 4 <= count && weight.sameScales(row + i, row + i + 3); i += 4) {
                if (weight.dtype() == DType.BF16) {
                    fourBf16Rows(x, at, weight, row + i, piece, to, out, output + i);
                } else {
                    fourFp8Rows(x, at, weight, row + i, piece, to, out, output + i);
                }
            }
            for (; i < count; i++) {
                oneRow(x, at, weight, row + i, piece, to, out, output + i);
            }
        }
    }

    private void fourBf16Rows(float[] x, int at, Weight weight, int row, int from, int to, float[] out, int output) {
        MemorySegment data = weight.data();
        long r0 = (long) row * weight.columns();
        long r1 = r0 + weight.columns();
        long r2 = r1 + weight.columns();
        long r3 = r2 + weight.columns();
        int end = from + Lanes.FLOATS.loopBound(to - from);
        FloatVector a0 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a1 = a0;
        FloatVector a2 = a0;
        FloatVector a3 = a0;
        for (int i = from; i < end; i += Lanes.COUNT) {
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
            a0 = v.fma(Decoding.bf16(data, (r0 + i) * Short.BYTES), a0);
            a1 = v.fma(Decoding.bf16(data, (r1 + i) * Short.BYTES), a1);
            a2 = v.fma(Decoding.bf16(data, (r2 + i) * Short.BYTES), a2);
            a3 = v.fma(Decoding.bf16(data, (r3 + i) * Short.BYTES), a3);
        }
        a0.intoArray(lanes, 0);
        a1.intoArray(lanes, Lanes.COUNT);
        a2.intoArray(lanes, 2 * Lanes.COUNT);
        a3.intoArray(lanes, 3 * Lanes.COUNT);
        finish(4, x, at, weight, row, from, end, to, out, output);
    }

    /**
     * Four rows of one block row. One flat loop over all columns, its factor looked up in every round: loops over
     * single blocks of 128 columns are so short that they take twice the time.
     */
    private void fourFp8Rows(
            float[] x, int at, Weight weight, int row, int from, int to, float[] out, int output) {
        MemorySegment data = weight.data();
        float[] factors = factors(weight, row);
        long r0 = (long) row * weight.columns();
        long r1 = r0 + weight.columns();
        long r2 = r1 + weight.columns();
        long r3 = r2 + weight.columns();
        int shift = Integer.numberOfTrailingZeros(weight.blockColumns());
        int end = from + Lanes.FLOATS.loopBound(to - from);
        FloatVector a0 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a1 = a0;
        FloatVector a2 = a0;
        FloatVector a3 = a0;
        for (int i = from; i < end; i += Lanes.COUNT) {
            FloatVector f = FloatVector.broadcast(Lanes.FLOATS, factors[i >> shift]);
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
            a0 = v.fma(Decoding.fp8(data, r0 + i).mul(f), a0);
            a1 = v.fma(Decoding.fp8(data, r1 + i).mul(f), a1);
            a2 = v.fma(Decoding.fp8(data, r2 + i).mul(f), a2);
            a3 = v.fma(Decoding.fp8(data, r3 + i).mul(f), a3);
        }
        a0.intoArray(lanes, 0);
        a1.intoArray(lanes, Lanes.COUNT);
        a2.intoArray(lanes, 2 * Lanes.COUNT);
        a3.intoArray(lanes, 3 * Lanes.COUNT);
        finish(4, x, at, weight, row, from, end, to, out, output);
    }

    /** What the raw bytes of a row are multiplied with, by blocks of columns. */
    private float[] factors(Weight weight, int row) {
        int blocks = Math.ceilDiv(weight.columns(), weight.blockColumns());
        if (factors.length < blocks) {
            factors = new float[blocks];
        }
        for (int block = 0; block < blocks; block++) {
            factors[block] = weight.scale(row, block * weight.blockColumns()) * Decoding.FP8_FACTOR;
        }
        return factors;
    }

    private void oneRow(float[] x, int at, Weight weight, int row, int from, int to, float[] out, int output) {
        MemorySegment data = weight.data();
        long r = (long) row * weight.columns();
        int end = from + Lanes.FLOATS.loopBound(to - from);
        FloatVector a = FloatVector.zero(Lanes.FLOATS);
        for (int i = from; i < end; i += Lanes.COUNT) {
            FloatVector w = weight.dtype() == DType.F8_E4M3
                    ? Decoding.fp8(data, r + i).mul(factor(weight, row, i))
                    : Decoding.bf16(data, (r + i) * Short.BYTES);
            a = FloatVector.fromArray(Lanes.FLOATS, x, at + i).fma(w, a);
        }
        a.intoArray(lanes, 0);
        finish(1, x, at, weight, row, from, end, to, out, output);
    }

    private static FloatVector factor(Weight weight, int row, int column) {
        return FloatVector.broadcast(Lanes.FLOATS, weight.scale(row, column) * Decoding.FP8_FACTOR);
    }

    /** The same for the first {@code count} vectors and as many weight rows. */
    private void finish(
            int count, float[] x, int at, Weight weight, int row, int from, int end, int to, float[] out, int output) {
        for (int i = 0; i < count; i++) {
            float sum = Lanes.sum(lanes, i * Lanes.COUNT);
            for (int c = end; c < to; c++) {
                sum = Math.fma(x[at + c], weight.value(row + i, c), sum);
            }
            out[output + i] = from == 0 ? sum : out[output + i] + sum;
        }
    }

    /**
     * {@code out[output + c] = sum over n of x[at + n] * block[n, c]} for {@code count} columns, in the order of n.
     *
     * @param block rows {@code stride} apart
     */
    static void combine(
            float[] x, int at, int n, float[] block, int stride, int count, float[] out, int output) {
        int c = 0;
        for (; c + 4 * Lanes.COUNT <= count; c += 4 * Lanes.COUNT) {
            FloatVector a0 = FloatVector.zero(Lanes.FLOATS);
            FloatVector a1 = a0;
            FloatVector a2 = a0;
            FloatVector a3 = a0;
            for (int i = 0; i < n; i++) {
                FloatVector v = FloatVector.broadcast(Lanes.FLOATS, x[at + i]);
                int w = i * stride + c;
                a0 = v.fma(FloatVector.fromArray(Lanes.FLOATS, block, w), a0);
                a1 = v.fma(FloatVector.fromArray(Lanes.FLOATS, block, w + Lanes.COUNT), a1);
                a2 = v.fma(FloatVector.fromArray(Lanes.FLOATS, block, w + 2 * Lanes.COUNT), a2);
                a3 = v.fma(FloatVector.fromArray(Lanes.FLOATS, block, w + 3 * Lanes.COUNT), a3);
            }
            a0.intoArray(out, output + c);
            a1.intoArray(out, output + c + Lanes.COUNT);
            a2.intoArray(out, output + c + 2 * Lanes.COUNT);
            a3.intoArray(out, output + c + 3 * Lanes.COUNT);
        }
        for (; c < count; c++) {
            float sum = 0;
            for (int i = 0; i < n; i++) {
                sum = Math.fma(x[at + i], block[i * stride + c], sum);
            }
            out[output + c] = sum;
        }
    }

    /** {@code out = gate / (1 + exp(-gate)) * up}. */
    static void swiGlu(float[] gate, int g, float[] up, int u, float[] out, int o, int count) {
        int i = 0;
        for (; i <= count - Lanes.COUNT; i += Lanes.COUNT) {
            FloatVector x = FloatVector.fromArray(Lanes.FLOATS, gate, g + i);
            x.div(Lanes.exp(x.neg().min(EXP_LIMIT)).add(1f))
                    .mul(FloatVector.fromArray(Lanes.FLOATS, up, u + i))
                    .intoArray(out, o + i);
        }
        for (; i < count; i++) {
            float x = gate[g + i];
            out[o + i] = x / (Lanes.exp(Math.min(-x, EXP_LIMIT)) + 1f) * up[u + i];
        }
    }
}
