package dev.gyre.attention;

import dev.gyre.attention.cache.IndexKeyCache;

/** The lightning indexer's scoring: {@code score[t,s] = sum_h w[t,h] * relu(q[t,h] . k[s])}. */
public interface IndexScorer {
    /**
     * Scores every token that the rows [from, to) see.
     *
     * @param scores score of position s for row r at {@code (r - from) * stride + s}; entries at or beyond
     *     {@code rows.visible(r)} are left as they are
     * @param stride at least {@code rows.visible(r)} of every row
     */
    void score(IndexQueries queries, IndexKeyCache keys, QueryRows rows, int from, int to, float[] scores, int stride);
}
