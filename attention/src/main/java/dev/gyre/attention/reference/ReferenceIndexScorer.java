package dev.gyre.attention.reference;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.IndexKeyCache;

/** {@code score[t,s] = sum_h w[t,h] * relu(q[t,h] . k[s])}, one key after the other. */
public final class ReferenceIndexScorer implements IndexScorer {
    private final WorkerPool pool;

    /** @param pool the threads that share the rows */
    public ReferenceIndexScorer(WorkerPool pool) {
        this.pool = pool;
    }

    @Override
    public void score(
            IndexQueries queries,
            IndexKeyCache keys,
            QueryRows rows,
            int from,
            int to,
            float[] scores,
            int stride) {
        pool.run(to - from, (i, worker) -> {
            int row = from + i;
            float[] key = new float[queries.dim()];
            for (int position = 0; position < rows.visible(row); position++) {
                keys.read(rows.slot(row, position), key, 0);
                scores[i * stride + position] = score(queries, row, key);
            }
        });
    }

    private static float score(IndexQueries queries, int row, float[] key) {
        double score = 0;
        for (int head = 0; head < queries.heads(); head++) {
            int query = (row * queries.heads() + head) * queries.dim();
            double dot = 0;
            for (int i = 0; i < queries.dim(); i++) {
                dot += (double) queries.queries()[query + i] * key[i];
            }
            score += queries.weights()[row * queries.heads() + head] * Math.max(dot, 0);
        }
        return (float) score;
    }
}
