package dev.gyre.attention.vector;

import dev.gyre.attention.AttentionMass;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.LatentCache;
import dev.gyre.attention.simd.Lanes;

import java.util.Arrays;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** Attention mass with the scores of whole blocks of tokens, then softmax with lanes along the tokens. */
public final class VectorAttentionMass implements AttentionMass {
    /** What a token that is none weighs: exp of any difference to it is 0. */
    private static final float LOWEST = -1e30f;

    private final WorkerPool pool;
    private final Scratch[] scratch;

    /** Memory of one worker. */
    private static final class Scratch {
        final TokenBlock block = new TokenBlock();
        final BlockScores scores = new BlockScores();
        /** {@code [64, heads]} */
        float[] blockScores = new float[0];
        /** {@code [heads, tokens rounded up to whole vectors]} */
        float[] weights = new float[0];
        /** {@code [tokens rounded up to whole vectors]} */
        float[] sums = new float[0];
    }

    /** @param pool the threads that share the rows */
    public VectorAttentionMass(WorkerPool pool) {
        this.pool = pool;
        scratch = new Scratch[pool.threads()];
        Arrays.setAll(scratch, i -> new Scratch());
    }

    @Override
    public void mass(
            MlaQueries queries,
            LatentCache cache,
            QueryRows rows,
            int[] chosen,
            int count,
            float[] mass,
            int stride) {
        pool.run(count, (i, worker) -> {
            Scratch work = scratch[worker];
            int row = chosen[i];
            int visible = rows.visible(row);
            int padded = Math.ceilDiv(visible, Lanes.COUNT) * Lanes.COUNT;
            reserve(work, queries.heads(), padded);
            score(work, queries, cache, rows, row, padded);
            Arrays.fill(work.sums, 0, padded, 0f);
            for (int head = 0; head < queries.heads(); head++) {
                int at = head * padded;
                Arrays.fill(work.weights, at + visible, at + padded, LOWEST);
                softmax(work, at, padded, queries);
            }
            System.arraycopy(work.sums, 0, mass, i * stride, visible);
        });
    }

    private static void reserve(Scratch work, int heads, int padded) {
        if (work.blockScores.length < heads * TokenBlock.SIZE) {
            work.blockScores = new float[heads * TokenBlock.SIZE];
        }
        int size = Math.multiplyExact(heads, padded);
        if (work.weights.length < size) {
            work.weights = new float[size];
        }
        if (work.sums.length < padded) {
            work.sums = new float[padded];
        }
    }

    /** Writes {@code q . c} of every head and token, a head behind the other. */
    private static void score(
            Scratch work, MlaQueries queries, LatentCache cache, QueryRows rows, int row, int padded) {
        int heads = queries.heads();
        work.scores.begin(queries, row, 0, heads);
        for (int from = 0; from < rows.visible(row); from += TokenBlock.SIZE) {
            work.block.begin(cache);
            int to = Math.min(from + TokenBlock.SIZE, rows.visible(row));
            for (int position = from; position < to; position++) {
                work.block.add(rows.slot(row, position));
            }
            work.scores.score(work.block, work.blockScores, heads);
            for (int head = 0; head < heads; head++) {
                for (int position = from; position < to; position++) {
                    work.weights[head * padded + position] = work.blockScores[(position - from) * heads + head];
                }
            }
        }
    }

    /** Adds a head's share of the mass, from its scores {@code weights[at, at + count)}. */
    private static void softmax(Scratch work, int at, int count, MlaQueries queries) {
        float[] weights = work.weights;
        FloatVector highest = FloatVector.broadcast(Lanes.FLOATS, LOWEST);
        for (int i = 0; i < count; i += Lanes.COUNT) {
            highest = highest.max(FloatVector.fromArray(Lanes.FLOATS, weights, at + i));
        }
        FloatVector max = FloatVector.broadcast(Lanes.FLOATS, highest.reduceLanes(VectorOperators.MAX));
        FloatVector sum = FloatVector.zero(Lanes.FLOATS);
        for (int i = 0; i < count; i += Lanes.COUNT) {
            FloatVector score = FloatVector.fromArray(Lanes.FLOATS, weights, at + i);
            FloatVector weight = Lanes.exp(score.sub(max).mul(queries.scale()));
            weight.intoArray(weights, at + i);
            sum = sum.add(weight);
        }
        FloatVector share = FloatVector.broadcast(Lanes.FLOATS, 1 / (Lanes.sum(sum) * queries.heads()));
        for (int i = 0; i < count; i += Lanes.COUNT) {
            FloatVector weight = FloatVector.fromArray(Lanes.FLOATS, weights, at + i);
            weight.fma(share, FloatVector.fromArray(Lanes.FLOATS, work.sums, i)).intoArray(work.sums, i);
        }
    }
}
