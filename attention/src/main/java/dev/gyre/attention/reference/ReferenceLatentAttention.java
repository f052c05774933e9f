package dev.gyre.attention.reference;

import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.LatentCache;

import java.util.Arrays;
import java.util.function.IntUnaryOperator;

/** Softmax attention over cached latents, one row and head at a time, in two passes over the tokens. */
public final class ReferenceLatentAttention implements LatentAttention {
    private final WorkerPool pool;

    /** @param pool the threads that share rows and heads */
    public ReferenceLatentAttention(WorkerPool pool) {
        this.pool = pool;
    }

    @Override
    public void sparse(MlaQueries queries, LatentCache cache, int[] slots, int rows, int k, float[] out) {
        pool.run(Math.multiplyExact(rows, queries.heads()), (task, worker) -> {
            int row = task / queries.heads();
            attend(queries, cache, k, i -> slots[row * k + i], task, out);
        });
    }

    @Override
    public void dense(MlaQueries queries, LatentCache cache, QueryRows rows, float[] out) {
        pool.run(Math.multiplyExact(rows.rows(), queries.heads()), (task, worker) -> {
            int row = task / queries.heads();
            attend(queries, cache, rows.visible(row), i -> rows.slot(row, i), task, out);
        });
    }

    /** Row and head number {@code task} over the tokens in {@code slot(0..count-1)}. */
    private static void attend(
            MlaQueries queries, LatentCache cache, int count, IntUnaryOperator slot, int task, float[] out) {
        int width = queries.width();
        int latent = queries.latent();
        float[] token = new float[width];
        double[] scores = new double[count];
        double max = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < count; i++) {
            scores[i] = Double.NEGATIVE_INFINITY;
            if (valid(cache, slot.applyAsInt(i))) {
                cache.read(slot.applyAsInt(i), token, 0);
                double dot = 0;
                for (int d = 0; d < width; d++) {
                    dot += (double) queries.queries()[task * width + d] * token[d];
                }
                scores[i] = queries.scale() * dot;
                max = Math.max(max, scores[i]);
            }
        }
        double[] sum = new double[latent];
        double total = 0;
        for (int i = 0; i < count; i++) {
            if (valid(cache, slot.applyAsInt(i))) {
                cache.read(slot.applyAsInt(i), token, 0);
                double weight = Math.exp(scores[i] - max);
                total += weight;
                for (int d = 0; d < latent; d++) {
                    sum[d] += weight * token[d];
                }
            }
        }
        Arrays.fill(out, task * latent, (task + 1) * latent, 0f);
        for (int d = 0; d < latent && total > 0; d++) {
            out[task * latent + d] = (float) (sum[d] / total);
        }
    }

    private static boolean valid(LatentCache cache, int slot) {
        return slot >= 0 && slot < cache.slots();
    }
}
