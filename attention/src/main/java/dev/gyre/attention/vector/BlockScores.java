package dev.gyre.attention.vector;

import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.simd.Lanes;

import jdk.incubator.vector.FloatVector;

/**
 * Scores of some heads of one query row with a block of tokens. Belongs to one worker.
 *
 * <p>Heads are taken in tiles of two vectors, lanes along the heads: no sum runs across lanes, and every value of a
 * token is loaded once for the whole tile. For that the queries of a tile are transposed, once a row. What heads do not
 * fill a tile are scored with lanes along the dimensions. Which way a head goes depends on its number alone.
 */
final class BlockScores {
    /** Heads of a tile. */
    static final int TILE = 2 * Lanes.COUNT;
    /** Heads that are scored together where they fill no tile. */
    private static final int HEADS = 4;
    /** Tokens that are scored together. */
    private static final int TOKENS = 4;

    private MlaQueries queries;
    private int row;
    private int firstHead;
    private int heads;
    /** {@code [tiles, width, TILE]} */
    private float[] transposed = new float[0];
    /** Sums by lanes, on their way to one number: kept as vectors until then, they would become objects. */
    private final float[] lanes = new float[2 * HEADS * Lanes.COUNT];

    void begin(MlaQueries queries, int row, int firstHead, int heads) {
        this.queries = queries;
        this.row = row;
        this.firstHead = firstHead;
        this.heads = heads;
        int width = queries.width();
        int tiled = heads - heads % TILE;
        if (transposed.length < tiled * width) {
            transposed = new float[tiled * width];
        }
        for (int head = 0; head < tiled; head += TILE) {
            int to = head * width;
            for (int d = 0; d < width; d++) {
                for (int lane = 0; lane < TILE; lane++) {
                    transposed[to++] = queries.queries()[queryAt(head + lane) + d];
                }
            }
        }
    }

    private int queryAt(int head) {
        return (row * queries.heads() + firstHead + head) * queries.width();
    }

    /**
     * Writes {@code q . c}, not yet scaled, of every head and token of the block.
     *
     * @param scores {@code [tokens, stride]}, a head in its column
     */
    void score(TokenBlock block, float[] scores, int stride) {
        int head = 0;
        for (; head + TILE <= heads; head += TILE) {
            int token = 0;
            for (; token + TOKENS <= block.count(); token += TOKENS) {
                tileWithFourTokens(block, head, token, scores, token * stride + head, stride);
            }
            for (; token < block.count(); token++) {
                tileWithOneToken(block, head, token, scores, token * stride + head);
            }
        }
        for (; head + HEADS <= heads; head += HEADS) {
            int token = 0;
            for (; token + 2 <= block.count(); token += 2) {
                fourHeadsWithTwoTokens(block, head, token, scores, token * stride + head, stride);
            }
            for (int h = head; h < head + HEADS && token < block.count(); h++) {
                scores[token * stride + h] = dot(block, token, h);
            }
        }
        for (; head < heads; head++) {
            for (int token = 0; token < block.count(); token++) {
                scores[token * stride + head] = dot(block, token, head);
            }
        }
    }

    private void tileWithFourTokens(TokenBlock block, int head, int token, float[] scores, int to, int stride) {
        float[] values = block.values();
        int width = queries.width();
        int c0 = token * width;
        int c1 = c0 + width;
        int c2 = c1 + width;
        int c3 = c2 + width;
        int q = head * width;
        FloatVector a00 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a01 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        for (int d = 0; d < width; d++) {
            FloatVector y0 = FloatVector.fromArray(Lanes.FLOATS, transposed, q + d * TILE);
            FloatVector y1 = FloatVector.fromArray(Lanes.FLOATS, transposed, q + d * TILE + Lanes.COUNT);
            FloatVector x0 = FloatVector.broadcast(Lanes.FLOATS, values[c0 + d]);
            a00 = x0.fma(y0, a00);
            a01 = x0.fma(y1, a01);
            FloatVector x1 = FloatVector.broadcast(Lanes.FLOATS, values[c1 + d]);
            a10 = x1.fma(y0, a10);
            a11 = x1.fma(y1, a11);
            FloatVector x2 = FloatVector.broadcast(Lanes.FLOATS, values[c2 + d]);
            a20 = x2.fma(y0, a20);
            a21 = x2.fma(y1, a21);
            FloatVector x3 = FloatVector.broadcast(Lanes.FLOATS, values[c3 + d]);
            a30 = x3.fma(y0, a30);
            a31 = x3.fma(y1, a31);
        }
        a00.intoArray(scores, to);
        a01.intoArray(scores, to + Lanes.COUNT);
        a10.intoArray(scores, to + stride);
        a11.intoArray(scores, to + stride + Lanes.COUNT);
        a20.intoArray(scores, to + 2 * stride);
        a21.intoArray(scores, to + 2 * stride + Lanes.COUNT);
        a30.intoArray(scores, to + 3 * stride);
        a31.intoArray(scores, to + 3 * stride + Lanes.COUNT);
    }

    private void tileWithOneToken(TokenBlock block, int head, int token, float[] scores, int to) {
        int width = queries.width();
        int c = token * width;
        int q = head * width;
        FloatVector a0 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a1 = a0;
        for (int d = 0; d < width; d++) {
            FloatVector x = FloatVector.broadcast(Lanes.FLOATS, block.values()[c + d]);
            a0 = x.fma(FloatVector.fromArray(Lanes.FLOATS, transposed, q + d * TILE), a0);
            a1 = x.fma(FloatVector.fromArray(Lanes.FLOATS, transposed, q + d * TILE + Lanes.COUNT), a1);
        }
        a0.intoArray(scores, to);
        a1.intoArray(scores, to + Lanes.COUNT);
    }

    private void fourHeadsWithTwoTokens(TokenBlock block, int head, int token, float[] scores, int to, int stride) {
        float[] values = block.values();
        float[] q = queries.queries();
        int width = queries.width();
        int end = Lanes.FLOATS.loopBound(width);
        int q0 = queryAt(head);
        int q1 = q0 + width;
        int q2 = q1 + width;
        int q3 = q2 + width;
        int c0 = token * width;
        int c1 = c0 + width;
        FloatVector a00 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a01 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        for (int i = 0; i < end; i += Lanes.COUNT) {
            FloatVector x0 = FloatVector.fromArray(Lanes.FLOATS, values, c0 + i);
            FloatVector x1 = FloatVector.fromArray(Lanes.FLOATS, values, c1 + i);
            FloatVector y0 = FloatVector.fromArray(Lanes.FLOATS, q, q0 + i);
            a00 = y0.fma(x0, a00);
            a01 = y0.fma(x1, a01);
            FloatVector y1 = FloatVector.fromArray(Lanes.FLOATS, q, q1 + i);
            a10 = y1.fma(x0, a10);
            a11 = y1.fma(x1, a11);
            FloatVector y2 = FloatVector.fromArray(Lanes.FLOATS, q, q2 + i);
            a20 = y2.fma(x0, a20);
            a21 = y2.fma(x1, a21);
            FloatVector y3 = FloatVector.fromArray(Lanes.FLOATS, q, q3 + i);
            a30 = y3.fma(x0, a30);
            a31 = y3.fma(x1, a31);
        }
        a00.intoArray(lanes, 0);
        a01.intoArray(lanes, Lanes.COUNT);
        a10.intoArray(lanes, 2 * Lanes.COUNT);
        a11.intoArray(lanes, 3 * Lanes.COUNT);
        a20.intoArray(lanes, 4 * Lanes.COUNT);
        a21.intoArray(lanes, 5 * Lanes.COUNT);
        a30.intoArray(lanes, 6 * Lanes.COUNT);
        a31.intoArray(lanes, 7 * Lanes.COUNT);
        for (int i = 0; i < 2 * HEADS; i++) {
            int c = i % 2 == 0 ? c0 : c1;
            float sum = Lanes.sum(lanes, i * Lanes.COUNT);
            scores[to + i % 2 * stride + i / 2] = tail(sum, values, c, q0 + i / 2 * width, end);
        }
    }

    /** One head with one token, in the same order of sums as {@link #fourHeadsWithTwoTokens}. */
    private float dot(TokenBlock block, int token, int head) {
        int end = Lanes.FLOATS.loopBound(queries.width());
        int q = queryAt(head);
        int c = token * queries.width();
        FloatVector a = FloatVector.zero(Lanes.FLOATS);
        for (int i = 0; i < end; i += Lanes.COUNT) {
            a = FloatVector.fromArray(Lanes.FLOATS, queries.queries(), q + i)
                    .fma(FloatVector.fromArray(Lanes.FLOATS, block.values(), c + i), a);
        }
        a.intoArray(lanes, 0);
        return tail(Lanes.sum(lanes, 0), block.values(), c, q, end);
    }

    /** Adds what lies behind the last whole vector. */
    private float tail(float sum, float[] values, int c, int q, int from) {
        float dot = sum;
        for (int i = from; i < queries.width(); i++) {
            dot = Math.fma(queries.queries()[q + i], values[c + i], dot);
        }
        return dot;
    }
}
