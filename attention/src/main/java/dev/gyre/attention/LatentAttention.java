package dev.gyre.attention;

import dev.gyre.attention.cache.LatentCache;

/** Absorbed MLA over cached latents: {@code out = softmax(scale * q . c) c[:latent]} for every row and head. */
public interface LatentAttention {
    /**
     * Attention over selected slots. Slots that are negative or beyond the cache are ignored; a row with no valid slot
     * gives 0.
     *
     * @param slots {@code [rows, k]} cache slots
     * @param out {@code [rows, heads, latent]}
     */
    void sparse(MlaQueries queries, LatentCache cache, int[] slots, int rows, int k, float[] out);

    /**
     * Attention to what the rows of a step selected; for those who must know whose tokens these are.
     *
     * @param out {@code [rows, heads, latent]}
     */
    default void sparse(LayerStep step, Selection selection, float[] out) {
        int rows = step.rows().rows();
        sparse(step.queries(), step.latents(), selection.slots(), rows, selection.k(), out);
    }

    /**
     * Attention over every token that a row sees.
     *
     * @param out {@code [rows, heads, latent]}
     */
    void dense(MlaQueries queries, LatentCache cache, QueryRows rows, float[] out);
}
