package dev.gyre.attention;

import dev.gyre.attention.cache.LatentCache;

/** Where attention to everything would go: {@code mass[t,s] = mean over heads of softmax_s(scale * q[t,h] . c[s])}. */
public interface AttentionMass {
    /**
     * The mass on every token that the rows [from, to) see; that of a row sums to 1.
     *
     * @param mass of position s for row r at {@code (r - from) * stride + s}; entries at or beyond
     *     {@code rows.visible(r)} are left as they are
     * @param stride at least {@code rows.visible(r)} of every row
     */
    void mass(MlaQueries queries, LatentCache cache, QueryRows rows, int from, int to, float[] mass, int stride);
}
