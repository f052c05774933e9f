package dev.gyre.attention.reference;

import dev.gyre.attention.AttentionMass;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.LatentCache;

/** {@code mass[t,s] = mean over heads of softmax_s(scale * q[t,h] . c[s])}, one head after the other. */
public final class ReferenceAttentionMass implements AttentionMass {
    private final WorkerPool pool;

    /** @param pool the threads that share the rows */
    public ReferenceAttentionMass(WorkerPool pool) {
        this.pool = pool;
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
            int row = chosen[i];
            double[] sum = new double[rows.visible(row)];
            for (int head = 0; head < queries.heads(); head++) {
                double[] weights = softmax(queries, row, head, cache, rows);
                for (int position = 0; position < sum.length; position++) {
                    sum[position] += weights[position];
                }
            }
            for (int position = 0; position < sum.length; position++) {
                mass[i * stride + position] = (float) (sum[position] / queries.heads());
            }
        });
    }

    private static double[] softmax(MlaQueries queries, int row, int head, LatentCache cache, QueryRows rows) {
        int width = queries.width();
        int query = (row * queries.heads() + head) * width;
        float[] token = new float[width];
        double[] weights = new double[rows.visible(row)];
        double max = Double.NEGATIVE_INFINITY;
        for (int position = 0; position < weights.length; position++) {
            cache.read(rows.slot(row, position), token, 0);
            double dot = 0;
            for (int d = 0; d < width; d++) {
                dot += (double) queries.queries()[query + d] * token[d];
            }
            weights[position] = queries.scale() * dot;
            max = Math.max(max, weights[position]);
        }
        double total = 0;
        for (int position = 0; position < weights.length; position++) {
            weights[position] = Math.exp(weights[position] - max);
            total += weights[position];
        }
        for (int position = 0; position < weights.length; position++) {
            weights[position] /= total;
        }
        return weights;
    }
}
