package dev.gyre.attention.vector;

import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.simd.DotTile;
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
    /** Tokens that are scored together with a tile. */
    private static final int TOKENS = 4;

    private MlaQueries queries;
    private int row;
    private int firstHead;
    private int heads;
    /** {@code [tiles, width, TILE]} */
    private float[] transposed = new float[0];
    private final DotTile dots = new DotTile();

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
        for (; head < heads; head += DotTile.X_ROWS) {
            for (int token = 0; token < block.count(); token += DotTile.Y_ROWS) {
                dots(block, head, token, scores, stride);
            }
        }
    }

    /** Scores of up to four heads with up to three tokens. */
    private void dots(TokenBlock block, int head, int token, float[] scores, int stride) {
        int width = queries.width();
        int headsHere = Math.min(DotTile.X_ROWS, heads - head);
        int tokensHere = Math.min(DotTile.Y_ROWS, block.count() - token);
        int q0 = queryAt(head);
        int q1 = q0 + Math.min(1, headsHere - 1) * width;
        int q2 = q0 + Math.min(2, headsHere - 1) * width;
        int q3 = q0 + Math.min(3, headsHere - 1) * width;
        int c0 = token * width;
        int c1 = c0 + Math.min(1, tokensHere - 1) * width;
        int c2 = c0 + Math.min(2, tokensHere - 1) * width;
        dots.multiply(queries.queries(), q0, q1, q2, q3, block.values(), c0, c1, c2, width);
        for (int i = 0; i < tokensHere; i++) {
            for (int h = 0; h < headsHere; h++) {
                scores[(token + i) * stride + head + h] = dots.product(h, i);
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
}
