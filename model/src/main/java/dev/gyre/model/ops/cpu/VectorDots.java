package dev.gyre.model.ops.cpu;

import dev.gyre.attention.vector.Decoding;
import dev.gyre.attention.vector.Lanes;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;

import java.lang.foreign.MemorySegment;

import jdk.incubator.vector.FloatVector;

/**
 * Dot products of tokens with weight rows, all in one order of sums: pieces of {@link #PIECE} columns one after the
 * other; in a piece, lanes along the columns, then the lanes, then the columns behind the last whole vector.
 */
final class VectorDots {
    /** Columns of a piece: four tokens' and three weight rows' fill most of a first-level cache. */
    static final int PIECE = 1024;

    /** Beyond it e^x is near the largest float; x / e^-x is 0 long before. */
    private static final float EXP_LIMIT = 87f;

    private VectorDots() {}

    /**
     * {@code out[t, output + i] = x[t, input:] . block[i]} for every token and each of {@code count} decoded rows.
     *
     * @param block {@code [count, columns]}
     */
    static void many(
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

    private static void fourByThree(
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
        finish(a00, data, x0, block, w0, from, end, to, out.data(), out.row(token) + output);
        finish(a01, data, x0, block, w1, from, end, to, out.data(), out.row(token) + output + 1);
        finish(a02, data, x0, block, w2, from, end, to, out.data(), out.row(token) + output + 2);
        finish(a10, data, x1, block, w0, from, end, to, out.data(), out.row(token + 1) + output);
        finish(a11, data, x1, block, w1, from, end, to, out.data(), out.row(token + 1) + output + 1);
        finish(a12, data, x1, block, w2, from, end, to, out.data(), out.row(token + 1) + output + 2);
        finish(a20, data, x2, block, w0, from, end, to, out.data(), out.row(token + 2) + output);
        finish(a21, data, x2, block, w1, from, end, to, out.data(), out.row(token + 2) + output + 1);
        finish(a22, data, x2, block, w2, from, end, to, out.data(), out.row(token + 2) + output + 2);
        finish(a30, data, x3, block, w0, from, end, to, out.data(), out.row(token + 3) + output);
        finish(a31, data, x3, block, w1, from, end, to, out.data(), out.row(token + 3) + output + 1);
        finish(a32, data, x3, block, w2, from, end, to, out.data(), out.row(token + 3) + output + 2);
    }

    private static void oneByOne(
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
        finish(a, x.data(), at, block, w, from, end, to, out.data(), out.row(token) + output);
    }

    /** Sums the lanes, adds the columns from {@code end} on, and adds the piece to those before it. */
    private static void finish(
            FloatVector a, float[] x, int at, float[] w, int row, int from, int end, int to, float[] out, int output) {
        float sum = Lanes.sum(a);
        for (int i = end; i < to; i++) {
            sum = Math.fma(x[at + i], w[row + i], sum);
        }
        out[output] = from == 0 ? sum : out[output] + sum;
    }

    /** {@code out[output + i] = x . weight[row + i]} for one token and {@code count} rows decoded in registers. */
    static void one(float[] x, int at, Weight weight, int row, int count, float[] out, int output) {
        for (int piece = 0; piece < weight.columns(); piece += PIECE) {
            int to = Math.min(piece + PIECE, weight.columns());
            int i = 0;
            for (; i + 4 <= count && weight.sameBlockRow(row + i, row + i + 3); i += 4) {
                fourRows(x, at, weight, row + i, piece, to, out, output + i);
            }
            for (; i < count; i++) {
                oneRow(x, at, weight, row + i, piece, to, out, output + i);
            }
        }
    }

    private static void fourRows(float[] x, int at, Weight weight, int row, int from, int to, float[] out, int output) {
        if (weight.dtype() == DType.F8_E4M3) {
            fourFp8Rows(x, at, weight, row, from, to, out, output);
            return;
        }
        MemorySegment data = weight.data();
        boolean bf16 = weight.dtype() == DType.BF16;
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
            a0 = v.fma(VectorRows.load(data, bf16, r0 + i), a0);
            a1 = v.fma(VectorRows.load(data, bf16, r1 + i), a1);
            a2 = v.fma(VectorRows.load(data, bf16, r2 + i), a2);
            a3 = v.fma(VectorRows.load(data, bf16, r3 + i), a3);
        }
        finish(a0, x, at, weight, row, from, end, to, out, output);
        finish(a1, x, at, weight, row + 1, from, end, to, out, output + 1);
        finish(a2, x, at, weight, row + 2, from, end, to, out, output + 2);
        finish(a3, x, at, weight, row + 3, from, end, to, out, output + 3);
    }

    /**
     * Four rows of one block row. One flat loop over all columns, its factor looked up in every round: loops over single
     * blocks of 128 columns are so short that they take twice the time.
     */
    private static void fourFp8Rows(
            float[] x, int at, Weight weight, int row, int from, int to, float[] out, int output) {
        MemorySegment data = weight.data();
        MemorySegment scales = weight.scales();
        long r0 = (long) row * weight.columns();
        long r1 = r0 + weight.columns();
        long r2 = r1 + weight.columns();
        long r3 = r2 + weight.columns();
        long firstScale = weight.scaleOffset(row);
        int shift = Integer.numberOfTrailingZeros(weight.blockColumns());
        int end = from + Lanes.FLOATS.loopBound(to - from);
        FloatVector a0 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a1 = a0;
        FloatVector a2 = a0;
        FloatVector a3 = a0;
        for (int i = from; i < end; i += Lanes.COUNT) {
            float scale = scales.get(Weight.FLOAT, firstScale + ((long) (i >> shift) << 2));
            FloatVector f = FloatVector.broadcast(Lanes.FLOATS, scale * Decoding.FP8_FACTOR);
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, at + i);
            a0 = v.fma(Decoding.fp8(data, r0 + i).mul(f), a0);
            a1 = v.fma(Decoding.fp8(data, r1 + i).mul(f), a1);
            a2 = v.fma(Decoding.fp8(data, r2 + i).mul(f), a2);
            a3 = v.fma(Decoding.fp8(data, r3 + i).mul(f), a3);
        }
        finish(a0, x, at, weight, row, from, end, to, out, output);
        finish(a1, x, at, weight, row + 1, from, end, to, out, output + 1);
        finish(a2, x, at, weight, row + 2, from, end, to, out, output + 2);
        finish(a3, x, at, weight, row + 3, from, end, to, out, output + 3);
    }

    private static void oneRow(float[] x, int at, Weight weight, int row, int from, int to, float[] out, int output) {
        MemorySegment data = weight.data();
        long r = (long) row * weight.columns();
        int end = from + Lanes.FLOATS.loopBound(to - from);
        FloatVector a = FloatVector.zero(Lanes.FLOATS);
        for (int i = from; i < end; i += Lanes.COUNT) {
            FloatVector w = weight.dtype() == DType.F8_E4M3
                    ? Decoding.fp8(data, r + i).mul(factor(weight, row, i))
                    : VectorRows.load(data, weight.dtype() == DType.BF16, r + i);
            a = FloatVector.fromArray(Lanes.FLOATS, x, at + i).fma(w, a);
        }
        finish(a, x, at, weight, row, from, end, to, out, output);
    }

    private static FloatVector factor(Weight weight, int row, int column) {
        return FloatVector.broadcast(Lanes.FLOATS, weight.scale(row, column) * Decoding.FP8_FACTOR);
    }

    private static void finish(
            FloatVector a, float[] x, int at, Weight weight, int row, int from, int end, int to, float[] out, int output) {
        float sum = Lanes.sum(a);
        for (int i = end; i < to; i++) {
            sum = Math.fma(x[at + i], weight.value(row, i), sum);
        }
        out[output] = from == 0 ? sum : out[output] + sum;
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
