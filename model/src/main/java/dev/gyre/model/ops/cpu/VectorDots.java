package dev.gyre.model.ops.cpu;

import dev.gyre.attention.simd.Decoding;
import dev.gyre.attention.simd.DotTile;
import dev.gyre.attention.simd.Lanes;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;

import java.lang.foreign.MemorySegment;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * Dot products of tokens with weight rows, all in one order of sums: pieces of {@link #PIECE} columns one after the
 * other; in a piece, lanes along the columns, then the lanes, then the columns behind the last whole vector. Belongs
 * to one worker.
 *
 * <p>FP8 weights are not multiplied with their block scales: the tokens are, once for all rows that share the scales.
 * One multiplication fewer for every weight makes the loop over a row half as long.
 */
final class VectorDots {
    /**
     * Columns of a piece. Pieces of 1024, whose operands fit a first-level cache, took half as long again: the loops are
     * too short for what it costs to begin them.
     */
    static final int PIECE = 8192;
    /** Weight rows that {@link #group} multiplies before it sums. */
    static final int GROUP_ROWS = RegisterTile.ROWS * RegisterTile.SLOTS;

    /** Tokens that are multiplied together where they are many. */
    private static final int TOKENS = DotTile.X_ROWS;
    /** Weight rows that are decoded in registers together. */
    private static final int ROWS = 4;

    /**
     * {@link Decoding#fp8} gives a value times 2^-120. Most of that goes to the token, the rest to the sum: a token times a
     * scale must stay below 2^38, and where products are below 2^-96 they lose bits that {@link #many} keeps.
     */
    private static final float TOKEN_FACTOR = 0x1p90f;
    private static final float SUM_FACTOR = 0x1p30f;

    /** Weights from this size on are taken to lie in memory: first-level and second-level caches hold none of it. */
    private static final long FAR_BYTES = 4L << 20;
    /** Rows that are fetched from memory together: of 7168 bf16 they take a quarter of a second-level cache. */
    private static final int NEAR_ROWS = 16;
    /** Bytes of a cache line, on all common processors or a fraction of it. */
    private static final long LINE = 64;

    /** Sums by lanes, on their way to one number: kept as vectors until then, they would become objects. */
    private final float[] lanes = new float[ROWS * Lanes.COUNT];
    private final DotTile tile = new DotTile();
    private final RegisterTile registers = new RegisterTile();
    private int fetched;
    /** {@code [RegisterTile.TOKENS, columns]}: tokens times the scales of a block row. */
    private float[] scaled = new float[0];

    /**
     * {@code out[t, output + i] = x[t, input:] . weight[row + i]} for every token and {@code count} rows that share their
     * scales.
     *
     * @param scalesMoved whether the tokens must be multiplied with the weight's scales
     * @param block the decoded rows, {@code [count, columns]}
     */
    void many(
            int tokens,
            HostTensor x,
            int input,
            Weight weight,
            boolean scalesMoved,
            int row,
            float[] block,
            int count,
            HostTensor out,
            int output) {
        int columns = weight.columns();
        for (int token = 0; token < tokens; token += TOKENS) {
            int group = Math.min(TOKENS, tokens - token);
            float[] data = x.data();
            int at = x.row(token) + input;
            int stride = x.stride();
            if (scalesMoved) {
                for (int t = 0; t < group; t++) {
                    scale(data, at + t * stride, weight, row, 1f, t * columns);
                }
                data = scaled;
                at = 0;
                stride = columns;
            }
            for (int piece = 0; piece < columns; piece += PIECE) {
                int end = Math.min(piece + PIECE, columns);
                for (int i = 0; i < count; i += DotTile.Y_ROWS) {
                    int rows = Math.min(DotTile.Y_ROWS, count - i);
                    int x0 = at + piece;
                    int x1 = x0 + Math.min(1, group - 1) * stride;
                    int x2 = x0 + Math.min(2, group - 1) * stride;
                    int x3 = x0 + Math.min(3, group - 1) * stride;
                    int y0 = i * columns + piece;
                    int y1 = y0 + Math.min(1, rows - 1) * columns;
                    int y2 = y0 + Math.min(2, rows - 1) * columns;
                    tile.multiply(data, x0, x1, x2, x3, block, y0, y1, y2, end - piece);
                    for (int t = 0; t < group; t++) {
                        int to = out.row(token + t) + output + i;
                        for (int r = 0; r < rows; r++) {
                            float sum = tile.product(t, r);
                            out.data()[to + r] = piece == 0 ? sum : out.data()[to + r] + sum;
                        }
                    }
                }
            }
        }
    }

    /**
     * The same as {@link #one} for several tokens: {@code out[t, output + i] = x[t, input:] . weight[row + i]}, rows
     * decoded in registers for eight tokens at a time.
     */
    void group(
            int tokens, HostTensor x, int input, Weight weight, int row, int count, HostTensor out, int output) {
        boolean fp8 = weight.dtype() == DType.F8_E4M3;
        int columns = weight.columns();
        for (int token = 0; token < tokens; token += RegisterTile.TOKENS) {
            int group = Math.min(RegisterTile.TOKENS, tokens - token);
            int at = x.row(token) + input;
            if (fp8) {
                for (int t = 0; t < group; t++) {
                    scale(x.data(), at + t * x.stride(), weight, row, TOKEN_FACTOR, t * columns);
                }
            }
            float[] data = fp8 ? scaled : x.data();
            int first = fp8 ? 0 : at;
            int stride = fp8 ? columns : x.stride();
            for (int piece = 0; piece < columns; piece += PIECE) {
                int width = Math.min(PIECE, columns - piece);
                for (int i = 0; i < count; i += GROUP_ROWS) {
                    int rows = Math.min(GROUP_ROWS, count - i);
                    tiles(data, first + piece, stride, group, weight, row + i, rows, piece, width);
                    registers.sum();
                    for (int t = 0; t < group; t++) {
                        finishToken(t, rows, data, first + t * stride, weight, row + i, piece, piece + width, out.data(),
                                out.row(token + t) + output + i);
                    }
                }
            }
        }
    }

    /** Products of some tokens with {@code width} columns from {@code piece} on of {@code count} rows: those of a tile are SLOTS apart. */
    private void tiles(
            float[] x, int at, int stride, int tokens, Weight weight, int row, int count, int piece, int width) {
        boolean fp8 = weight.dtype() == DType.F8_E4M3;
        for (int slot = 0; slot < Math.min(count, RegisterTile.SLOTS); slot++) {
            long row0 = (row + slot) * (long) weight.columns() + piece;
            long row1 = row0 + (slot + RegisterTile.SLOTS < count ? RegisterTile.SLOTS * (long) weight.columns() : 0);
            if (fp8) {
                registers.fp8(slot, x, at, stride, tokens, weight.data(), row0, row1, width);
            } else {
                registers.bf16(slot, x, at, stride, tokens, weight.data(), row0, row1, width);
            }
        }
    }

    /** {@code scaled[to + c] = x[at + c] * scale(row, c) * factor}. */
    private void scale(float[] x, int at, Weight weight, int row, float factor, int to) {
        if (scaled.length < RegisterTile.TOKENS * weight.columns()) {
            scaled = new float[Math.multiplyExact(RegisterTile.TOKENS, weight.columns())];
        }
        for (int start = 0; start < weight.columns(); start += weight.blockColumns()) {
            int end = Math.min(start + weight.blockColumns(), weight.columns());
            float scale = weight.scale(row, start) * factor;
            int c = start;
            for (; c <= end - Lanes.COUNT; c += Lanes.COUNT) {
                FloatVector.fromArray(Lanes.FLOATS, x, at + c).mul(scale).intoArray(scaled, to + c);
            }
            for (; c < end; c++) {
                scaled[to + c] = x[at + c] * scale;
            }
        }
    }

    /**
     * {@code out[output + i] = x . weight[row + i]} for one token and {@code count} rows that share their scales, decoded
     * in registers.
     */
    void one(float[] x, int at, Weight weight, int row, int count, float[] out, int output) {
        boolean fp8 = weight.dtype() == DType.F8_E4M3;
        if (fp8) {
            scale(x, at, weight, row, TOKEN_FACTOR, 0);
        }
        for (int piece = 0; piece < weight.columns(); piece += PIECE) {
            int to = Math.min(piece + PIECE, weight.columns());
            int i = 0;
            for (; i + ROWS <= count; i += ROWS) {
                if (i % NEAR_ROWS == 0 && weight.data().byteSize() >= FAR_BYTES) {
                    fetch(weight, row + i, Math.min(count - i, NEAR_ROWS), piece, to);
                }
                if (fp8) {
                    fourFp8Rows(weight, row + i, piece, to, out, output + i);
                } else {
                    fourBf16Rows(x, at, weight, row + i, piece, to, out, output + i);
                }
            }
            for (; i < count; i++) {
                if (fp8) {
                    oneFp8Row(weight, row + i, piece, to, out, output + i);
                } else {
                    oneBf16Row(x, at, weight, row + i, piece, to, out, output + i);
                }
            }
        }
    }

    /**
     * Reads some columns of {@code count} rows for no other purpose than to have them in the caches. A processor looks a
     * few hundred instructions ahead: while it decodes, that is too few loads to hide the latency of memory, and Java has
     * no prefetch instruction. Loads alone, a cache line each, keep memory busy.
     */
    private void fetch(Weight weight, int row, int count, int from, int to) {
        MemorySegment data = weight.data();
        int size = weight.dtype() == DType.BF16 ? Short.BYTES : Byte.BYTES;
        IntVector a = IntVector.zero(Lanes.INTS);
        IntVector b = a;
        for (int i = 0; i < count; i++) {
            long at = ((row + i) * (long) weight.columns() + from) * size;
            long end = at + (to - from) * (long) size;
            for (; at <= end - 3 * LINE; at += 2 * LINE) {
                a = a.add(IntVector.fromMemorySegment(Lanes.INTS, data, at, Lanes.ORDER));
                b = b.add(IntVector.fromMemorySegment(Lanes.INTS, data, at + LINE, Lanes.ORDER));
            }
        }
        fetched += a.add(b).lane(0); // what nobody reads would not be computed
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
        finish(ROWS, x, at, weight, row, from, to, out, output);
    }

    private void fourFp8Rows(Weight weight, int row, int from, int to, float[] out, int output) {
        MemorySegment data = weight.data();
        float[] x = scaled;
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
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, i);
            a0 = v.fma(Decoding.fp8(data, r0 + i), a0);
            a1 = v.fma(Decoding.fp8(data, r1 + i), a1);
            a2 = v.fma(Decoding.fp8(data, r2 + i), a2);
            a3 = v.fma(Decoding.fp8(data, r3 + i), a3);
        }
        a0.intoArray(lanes, 0);
        a1.intoArray(lanes, Lanes.COUNT);
        a2.intoArray(lanes, 2 * Lanes.COUNT);
        a3.intoArray(lanes, 3 * Lanes.COUNT);
        finish(ROWS, scaled, 0, weight, row, from, to, out, output);
    }

    private void oneFp8Row(Weight weight, int row, int from, int to, float[] out, int output) {
        long r = (long) row * weight.columns();
        int end = from + Lanes.FLOATS.loopBound(to - from);
        FloatVector a = FloatVector.zero(Lanes.FLOATS);
        for (int i = from; i < end; i += Lanes.COUNT) {
            a = FloatVector.fromArray(Lanes.FLOATS, scaled, i).fma(Decoding.fp8(weight.data(), r + i), a);
        }
        a.intoArray(lanes, 0);
        finish(1, scaled, 0, weight, row, from, to, out, output);
    }

    private void oneBf16Row(float[] x, int at, Weight weight, int row, int from, int to, float[] out, int output) {
        long r = (long) row * weight.columns();
        int end = from + Lanes.FLOATS.loopBound(to - from);
        FloatVector a = FloatVector.zero(Lanes.FLOATS);
        for (int i = from; i < end; i += Lanes.COUNT) {
            a = FloatVector.fromArray(Lanes.FLOATS, x, at + i)
                    .fma(Decoding.bf16(weight.data(), (r + i) * Short.BYTES), a);
        }
        a.intoArray(lanes, 0);
        finish(1, x, at, weight, row, from, to, out, output);
    }

    /** Sums the lanes of {@code count} vectors, one for each weight row, and finishes their products. */
    private void finish(
            int count, float[] x, int at, Weight weight, int row, int from, int to, float[] out, int output) {
        for (int i = 0; i < count; i++) {
            finish(Lanes.sum(lanes, i * Lanes.COUNT), x, at, weight, row + i, from, to, out, output + i);
        }
    }

    /** Finishes a token's products with {@code count} rows of a group: at once where it is whole and no column is left. */
    private void finishToken(
            int token, int count, float[] x, int at, Weight weight, int row, int from, int to, float[] out, int output) {
        FloatVector sums = registers.products(token);
        if (count < GROUP_ROWS || (to - from) % Lanes.COUNT != 0) {
            sums.intoArray(lanes, 0);
            for (int i = 0; i < count; i++) {
                finish(lanes[i], x, at, weight, row + i, from, to, out, output + i);
            }
            return;
        }
        FloatVector found = weight.dtype() == DType.F8_E4M3 ? sums.mul(SUM_FACTOR) : sums;
        FloatVector whole = from == 0 ? found : FloatVector.fromArray(Lanes.FLOATS, out, output).add(found);
        whole.intoArray(out, output);
    }

    /**
     * Adds to a sum of lanes the columns behind the last whole vector of the piece [from, to), and the piece to those before
     * it.
     *
     * @param x the token at {@code x[at]}; with FP8 it has been scaled
     */
    private static void finish(
            float lanes, float[] x, int at, Weight weight, int row, int from, int to, float[] out, int output) {
        boolean fp8 = weight.dtype() == DType.F8_E4M3;
        float sum = fp8 ? lanes * SUM_FACTOR : lanes;
        for (int c = from + Lanes.FLOATS.loopBound(to - from); c < to; c++) {
            sum = fp8
                    ? Math.fma(x[at + c] * (1 / TOKEN_FACTOR), VectorRows.code(weight, row, c), sum)
                    : Math.fma(x[at + c], weight.value(row, c), sum);
        }
        out[output] = from == 0 ? sum : out[output] + sum;
    }
}
