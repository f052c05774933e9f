package dev.gyre.attention.backend;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.attention.cache.LatentCache;

/** {@code dense}: every row attends to everything that it sees. */
final class DenseBackend implements AttentionBackend {
    private static final Selection EVERYTHING = new Selection();
    private final Implementations implementations;

    DenseBackend(Implementations implementations) {
        this.implementations = implementations;
    }

    @Override
    public boolean usesIndexer() {
        return false;
    }

    @Override
    public void attend(
            MlaQueries queries,
            LatentCache latents,
            IndexQueries index,
            IndexKeyCache keys,
            QueryRows rows,
            float[] out,
            SelectionListener listener) {
        attendToAll(implementations, queries, latents, rows, out, listener);
    }

    static void attendToAll(
            Implementations implementations,
            MlaQueries queries,
            LatentCache latents,
            QueryRows rows,
            float[] out,
            SelectionListener listener) {
        (rows.isDecode() ? implementations.decode() : implementations.prefill()).dense(queries, latents, rows, out);
        listener.selected(rows, EVERYTHING);
    }
}
