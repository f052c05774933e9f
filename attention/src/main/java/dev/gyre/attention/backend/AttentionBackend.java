package dev.gyre.attention.backend;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.attention.cache.LatentCache;

/** Decides which cached tokens the rows of a step attend to, and attends. */
public interface AttentionBackend {
    /** Whether layers must compute index queries and head weights for {@link #attend}. */
    boolean usesIndexer();

    /**
     * The attention of one layer for all rows of a step; latents and index keys of the rows are already cached.
     *
     * @param index what the indexer asks; null where {@link #usesIndexer()} is false
     * @param keys the layer's index keys; null where the model has no indexer
     * @param out {@code [rows, heads, latent]}
     * @param listener told what was selected
     */
    void attend(
            MlaQueries queries,
            LatentCache latents,
            IndexQueries index,
            IndexKeyCache keys,
            QueryRows rows,
            float[] out,
            SelectionListener listener);
}
