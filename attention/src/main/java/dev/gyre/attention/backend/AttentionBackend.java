package dev.gyre.attention.backend;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.policy.SelectionPolicy;

/** Decides which cached tokens the rows of a step attend to, and attends. */
public interface AttentionBackend {
    /** What decides. */
    SelectionPolicy policy();

    /** Whether a layer must compute index queries, head weights and keys for {@link #attend}. */
    boolean usesIndexer(int layer);

    /**
     * The attention of one layer for all rows of a step; latents and index keys of the rows are already cached. Layers
     * come in their order: one that does not select by itself attends to what the last one selected.
     *
     * @param out {@code [rows, heads, latent]}
     * @param listener told what was selected
     */
    void attend(LayerStep step, float[] out, SelectionListener listener);
}
