package dev.gyre.attention.vector;

import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.simd.Lanes;

import java.util.Arrays;

import jdk.incubator.vector.FloatVector;

/** The attention of some heads of one query row, fed block by block. Belongs to one worker. */
final class BlockAttention {
    /** Heads whose sums are in registers together. */
    static final int HEADS = 4;

    /** A first maximum that needs no special case: exp of any difference to it is 0 and no number. */
    private static final float LOWEST = -1e30f;

    private final BlockScores scores = new BlockScores();
    private MlaQueries queries;
    private int row;
    private int firstHead;
    private int heads;
    private float[] out;
    /** Heads rounded up to whole vectors. */
    private int stride;
    private float[] max = new float[0];
    private float[] total = new float[0];
    private float[] correction = new float[0];
    /** {@code [64, stride]}: scores of a block, then its weights. */
    private float[] weights = new float[0];

    void begin(MlaQueries queries, int row, int firstHead, int endHead, float[] out) {
        this.queries = queries;
        this.row = row;
        this.firstHead = firstHead;
        this.heads = endHead - firstHead;
        this.out = out;
        stride = Math.ceilDiv(heads, Lanes.COUNT) * Lanes.COUNT;
        if (max.length < stride) {
            max = new float[stride];
            total = new float[stride];
            correction = new float[stride];
            weights = new float[stride * TokenBlock.SIZE];
        }
        Arrays.fill(max, 0, stride, LOWEST);
        Arrays.fill(total, 0, stride, 0f);
        Arrays.fill(out, outAt(0), outAt(heads), 0f);
        scores.begin(queries, row, firstHead, heads);
    }

    private int outAt(int head) {
        return (row * queries.heads() + firstHead + head) * queries.latent();
    }

    void add(TokenBlock block) {
        scores.score(block, weights, stride);
        for (int head = 0; head < heads; head += Lanes.COUNT) {
            softmax(head, block.count());
        }
        int tiled = heads - heads % HEADS;
        int i = 0;
        // a strip of the block stays in the first-level cache for all heads
        for (; i <= queries.latent() - 2 * Lanes.COUNT; i += 2 * Lanes.COUNT) {
            for (int head = 0; head < tiled; head += HEADS) {
                accumulateFourHeads(block, head, i);
            }
        }
        for (int head = 0; head < heads; head++) {
            accumulate(block, head, head < tiled ? i : 0);
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

    /**
     * Turns the scores of a vector of heads into weights relative to the new maximum, and notes what that does to the
     * sums so far. Lanes beyond the last head hold leftovers that nobody reads.
     */
    private void softmax(int head, int count) {
        FloatVector before = FloatVector.fromArray(Lanes.FLOATS, max, head);
        FloatVector highest = before;
        for (int token = 0; token < count; token++) {
            int at = token * stride + head;
            FloatVector score = FloatVector.fromArray(Lanes.FLOATS, weights, at).mul(queries.scale());
            score.intoArray(weights, at);
            highest = highest.max(score);
        }
        FloatVector factor = Lanes.exp(before.sub(highest));
        FloatVector sum = FloatVector.zero(Lanes.FLOATS);
        for (int token = 0; token < count; token++) {
            int at = token * stride + head;
            FloatVector weight = Lanes.exp(FloatVector.fromArray(Lanes.FLOATS, weights, at).sub(highest));
            weight.intoArray(weights, at);
            sum = sum.add(weight);
        }
        highest.intoArray(max, head);
        factor.intoArray(correction, head);
        FloatVector.fromArray(Lanes.FLOATS, total, head).fma(factor, sum).intoArray(total, head);
    }

    /** Two vectors of the sums of four heads, from dimension {@code i} on. */
    private void accumulateFourHeads(TokenBlock block, int head, int i) {
        float[] values = block.values();
        int count = block.count();
        int width = queries.width();
        int o0 = outAt(head) + i;
        int o1 = o0 + queries.latent();
        int o2 = o1 + queries.latent();
        int o3 = o2 + queries.latent();
        FloatVector a00 = FloatVector.fromArray(Lanes.FLOATS, out, o0).mul(correction[head]);
        FloatVector a01 = FloatVector.fromArray(Lanes.FLOATS, out, o0 + Lanes.COUNT).mul(correction[head]);
        FloatVector a10 = FloatVector.fromArray(Lanes.FLOATS, out, o1).mul(correction[head + 1]);
        FloatVector a11 = FloatVector.fromArray(Lanes.FLOATS, out, o1 + Lanes.COUNT).mul(correction[head + 1]);
        FloatVector a20 = FloatVector.fromArray(Lanes.FLOATS, out, o2).mul(correction[head + 2]);
        FloatVector a21 = FloatVector.fromArray(Lanes.FLOATS, out, o2 + Lanes.COUNT).mul(correction[head + 2]);
        FloatVector a30 = FloatVector.fromArray(Lanes.FLOATS, out, o3).mul(correction[head + 3]);
        FloatVector a31 = FloatVector.fromArray(Lanes.FLOATS, out, o3 + Lanes.COUNT).mul(correction[head + 3]);
        for (int token = 0; token < count; token++) {
            int c = token * width + i;
            int p = token * stride + head;
            FloatVector x0 = FloatVector.fromArray(Lanes.FLOATS, values, c);
            FloatVector x1 = FloatVector.fromArray(Lanes.FLOATS, values, c + Lanes.COUNT);
            FloatVector w0 = FloatVector.broadcast(Lanes.FLOATS, weights[p]);
            a00 = w0.fma(x0, a00);
            a01 = w0.fma(x1, a01);
            FloatVector w1 = FloatVector.broadcast(Lanes.FLOATS, weights[p + 1]);
            a10 = w1.fma(x0, a10);
            a11 = w1.fma(x1, a11);
            FloatVector w2 = FloatVector.broadcast(Lanes.FLOATS, weights[p + 2]);
            a20 = w2.fma(x0, a20);
            a21 = w2.fma(x1, a21);
            FloatVector w3 = FloatVector.broadcast(Lanes.FLOATS, weights[p + 3]);
            a30 = w3.fma(x0, a30);
            a31 = w3.fma(x1, a31);
        }
        a00.intoArray(out, o0);
        a01.intoArray(out, o0 + Lanes.COUNT);
        a10.intoArray(out, o1);
        a11.intoArray(out, o1 + Lanes.COUNT);
        a20.intoArray(out, o2);
        a21.intoArray(out, o2 + Lanes.COUNT);
        a30.intoArray(out, o3);
        a31.intoArray(out, o3 + Lanes.COUNT);
    }

    /** One head's sums from dimension {@code from} on. */
    private void accumulate(TokenBlock block, int head, int from) {
        float[] values = block.values();
        int o = outAt(head);
        int i = from;
        for (; i <= queries.latent() - Lanes.COUNT; i += Lanes.COUNT) {
            FloatVector a = FloatVector.fromArray(Lanes.FLOATS, out, o + i).mul(correction[head]);
            for (int token = 0; token < block.count(); token++) {
                FloatVector x = FloatVector.fromArray(Lanes.FLOATS, values, token * queries.width() + i);
                a = FloatVector.broadcast(Lanes.FLOATS, weights[token * stride + head]).fma(x, a);
            }
            a.intoArray(out, o + i);
        }
        for (; i < queries.latent(); i++) {
            float a = out[o + i] * correction[head];
            for (int token = 0; token < block.count(); token++) {
                a = Math.fma(weights[token * stride + head], values[token * queries.width() + i], a);
            }
            out[o + i] = a;
        }
    }
}
