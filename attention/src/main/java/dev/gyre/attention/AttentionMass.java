package dev.gyre.attention;

import dev.gyre.attention.cache.LatentCache;

/** Where attention to everything would go: {@code mass[t,s] = mean over heads of softmax_s(scale * q[t,h] . c[s])}. */
public interface AttentionMass {
    /**
     * The mass on every token that some rows see; that of a row sums to 1.
     *
     * @param chosen row numbers, the first {@code count} of them
     * @param mass of position s for the i-th of these rows at {@code i * stride + s}; entries at or beyond what the row
     *     sees are left as they are
     * @param stride at least {@code rows.visible(r)} of every such row
     */
    void mass(
            MlaQueries queries, LatentCache cache, QueryRows rows, int[] chosen, int count, float[] mass, int stride);
}
