package dev.gyre.attention.vector;

import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.simd.Lanes;

import java.util.Arrays;

import jdk.incubator.vector.FloatVector;

/** The attention of some heads of one query row, fed block by block. Belongs to one worker. */
final class BlockAttention {
    /** Heads that are computed together, so that a token's row is read once for all of them. */
    static final int HEADS = 4;

    /** A first maximum that needs no special case: exp of any difference to it is 0 and no number. */
    private static final float LOWEST = -1e30f;

    private MlaQueries queries;
    private int row;
    private int firstHead;
    private int heads;
    private float[] out;
    private float[] max = new float[0];
    private float[] total = new float[0];
    private float[] correction = new float[0];
    /** {@code [heads, 64]}: scores of a block, then its weights. */
    private float[] weights = new float[0];
    /** Sums by lanes, on their way to one number: kept as vectors until then, they would become objects. */
    private final float[] lanes = new float[2 * HEADS * Lanes.COUNT];

    void begin(MlaQueries queries, int row, int firstHead, int endHead, float[] out) {
        this.queries = queries;
        this.row = row;
        this.firstHead = firstHead;
        this.heads = endHead - firstHead;
        this.out = out;
        if (max.length < heads) {
            max = new float[heads];
            total = new float[heads];
            correction = new float[heads];
            weights = new float[heads * TokenBlock.SIZE];
        }
        Arrays.fill(max, 0, heads, LOWEST);
        Arrays.fill(total, 0, heads, 0f);
        Arrays.fill(out, outAt(0), outAt(heads), 0f);
    }

    private int queryAt(int head) {
        return (row * queries.heads() + firstHead + head) * queries.width();
    }

    private int outAt(int head) {
        return (row * queries.heads() + firstHead + head) * queries.latent();
    }

    void add(TokenBlock block) {
        int head = 0;
        for (; head + HEADS <= heads; head += HEADS) {
            scoreFourHeads(block, head);
        }
        for (; head < heads; head++) {
            for (int token = 0; token < block.count(); token++) {
                weights[head * TokenBlock.SIZE + token] = dot(block, token, head);
            }
        }
        for (head = 0; head < heads; head++) {
            softmax(head, block.count());
        }
        for (head = 0; head + HEADS <= heads; head += HEADS) {
            accumulateFourHeads(block, head);
        }
        for (; head < heads; head++) {
            accumulate(block, head, 0);
        }
    }

    void finish() {
        for (int head = 0; head < heads; head++) {
            float factor = total[head] > 0 ? 1 / total[head] : 0f;
            for (int i = outAt(head); i < outAt(head + 1); i++) {
                out[i] *= factor;
            }
        }
    }

    private void scoreFourHeads(TokenBlock block, int head) {
        int count = block.count();
        int token = 0;
        for (; token + 2 <= count; token += 2) {
            scoreTwoTokens(block, head, token);
        }
        if (token < count) {
            for (int h = head; h < head + HEADS; h++) {
                weights[h * TokenBlock.SIZE + token] = dot(block, token, h);
            }
        }
    }

    private void scoreTwoTokens(TokenBlock block, int head, int token) {
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
            weights[(head + i / 2) * TokenBlock.SIZE + token + i % 2] = tail(sum, values, c, q0 + i / 2 * width, end);
        }
    }

    /** One head with one token, in the same order of sums as {@link #scoreTwoTokens}. */
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

    /** What lies behind the last whole vector, and the softmax scale. */
    private float tail(float sum, float[] values, int c, int q, int from) {
        float dot = sum;
        for (int i = from; i < queries.width(); i++) {
            dot = Math.fma(queries.queries()[q + i], values[c + i], dot);
        }
        return dot * queries.scale();
    }

    /** Turns a head's scores into weights relative to the new maximum, and notes what that does to the sums so far. */
    private void softmax(int head, int count) {
        int at = head * TokenBlock.SIZE;
        float highest = max[head];
        for (int i = 0; i < count; i++) {
            highest = Math.max(highest, weights[at + i]);
        }
        correction[head] = Lanes.exp(max[head] - highest);
        max[head] = highest;
        Arrays.fill(weights, at + count, at + TokenBlock.SIZE, LOWEST); // whole vectors: these become 0
        FloatVector sum = FloatVector.zero(Lanes.FLOATS);
        for (int i = 0; i < TokenBlock.SIZE; i += Lanes.COUNT) {
            FloatVector weight = Lanes.exp(FloatVector.fromArray(Lanes.FLOATS, weights, at + i).sub(highest));
            weight.intoArray(weights, at + i);
            sum = sum.add(weight);
        }
        sum.intoArray(lanes, 0);
        total[head] = total[head] * correction[head] + Lanes.sum(lanes, 0);
    }

    private void accumulateFourHeads(TokenBlock block, int head) {
        float[] values = block.values();
        int count = block.count();
        int latent = queries.latent();
        int width = queries.width();
        int o0 = outAt(head);
        int o1 = o0 + latent;
        int o2 = o1 + latent;
        int o3 = o2 + latent;
        int p0 = head * TokenBlock.SIZE;
        int p1 = p0 + TokenBlock.SIZE;
        int p2 = p1 + TokenBlock.SIZE;
        int p3 = p2 + TokenBlock.SIZE;
        int i = 0;
        for (; i <= latent - 2 * Lanes.COUNT; i += 2 * Lanes.COUNT) {
            int j = i + Lanes.COUNT;
            FloatVector a00 = FloatVector.fromArray(Lanes.FLOATS, out, o0 + i).mul(correction[head]);
            FloatVector a01 = FloatVector.fromArray(Lanes.FLOATS, out, o0 + j).mul(correction[head]);
            FloatVector a10 = FloatVector.fromArray(Lanes.FLOATS, out, o1 + i).mul(correction[head + 1]);
            FloatVector a11 = FloatVector.fromArray(Lanes.FLOATS, out, o1 + j).mul(correction[head + 1]);
            FloatVector a20 = FloatVector.fromArray(Lanes.FLOATS, out, o2 + i).mul(correction[head + 2]);
            FloatVector a21 = FloatVector.fromArray(Lanes.FLOATS, out, o2 + j).mul(correction[head + 2]);
            FloatVector a30 = FloatVector.fromArray(Lanes.FLOATS, out, o3 + i).mul(correction[head + 3]);
            FloatVector a31 = FloatVector.fromArray(Lanes.FLOATS, out, o3 + j).mul(correction[head + 3]);
            for (int token = 0; token < count; token++) {
                int c = token * width;
                FloatVector x0 = FloatVector.fromArray(Lanes.FLOATS, values, c + i);
                FloatVector x1 = FloatVector.fromArray(Lanes.FLOATS, values, c + j);
                FloatVector w0 = FloatVector.broadcast(Lanes.FLOATS, weights[p0 + token]);
                a00 = w0.fma(x0, a00);
                a01 = w0.fma(x1, a01);
                FloatVector w1 = FloatVector.broadcast(Lanes.FLOATS, weights[p1 + token]);
                a10 = w1.fma(x0, a10);
                a11 = w1.fma(x1, a11);
                FloatVector w2 = FloatVector.broadcast(Lanes.FLOATS, weights[p2 + token]);
                a20 = w2.fma(x0, a20);
                a21 = w2.fma(x1, a21);
                FloatVector w3 = FloatVector.broadcast(Lanes.FLOATS, weights[p3 + token]);
                a30 = w3.fma(x0, a30);
                a31 = w3.fma(x1, a31);
            }
            a00.intoArray(out, o0 + i);
            a01.intoArray(out, o0 + j);
            a10.intoArray(out, o1 + i);
            a11.intoArray(out, o1 + j);
            a20.intoArray(out, o2 + i);
            a21.intoArray(out, o2 + j);
            a30.intoArray(out, o3 + i);
            a31.intoArray(out, o3 + j);
        }
        for (int h = head; h < head + HEADS; h++) {
            accumulate(block, h, i);
        }
    }

    /** One head's sums from dimension {@code from} on. */
    private void accumulate(TokenBlock block, int head, int from) {
        float[] values = block.values();
        int o = outAt(head);
        int p = head * TokenBlock.SIZE;
        int i = from;
        for (; i <= queries.latent() - Lanes.COUNT; i += Lanes.COUNT) {
            FloatVector a = FloatVector.fromArray(Lanes.FLOATS, out, o + i).mul(correction[head]);
            for (int token = 0; token < block.count(); token++) {
                FloatVector x = FloatVector.fromArray(Lanes.FLOATS, values, token * queries.width() + i);
                a = FloatVector.broadcast(Lanes.FLOATS, weights[p + token]).fma(x, a);
            }
            a.intoArray(out, o + i);
        }
        for (; i < queries.latent(); i++) {
            float a = out[o + i] * correction[head];
            for (int token = 0; token < block.count(); token++) {
                a = Math.fma(weights[p + token], values[token * queries.width() + i], a);
            }
            out[o + i] = a;
        }
    }
}
