package dev.gyre.attention.backend;

import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.policy.SelectionPolicy;

import java.util.function.IntPredicate;

/**
 * Attention to what a policy selects, at most k tokens a row. Where no row sees more than k there is nothing to select,
 * and everything is attended to, whatever the policy.
 */
final class SparseBackend implements AttentionBackend {
    private static final Selection EVERYTHING = new Selection();

    private final SelectionPolicy policy;
    private final int topk;
    private final IntPredicate measured;
    private final Implementations implementations;
    /** Of the last layer that selected by itself. */
    private final Selection selection = new Selection();

    /**
     * @param topk how many tokens a row attends to at most
     * @param measured layers that run their indexer also where the policy has no use for it
     */
    SparseBackend(SelectionPolicy policy, int topk, IntPredicate measured, Implementations implementations) {
        this.policy = policy;
        this.topk = topk;
        this.measured = measured;
        this.implementations = implementations;
    }

    @Override
    public SelectionPolicy policy() {
        return policy;
    }

    @Override
    public boolean usesIndexer(int layer) {
        return policy.usesIndexer() && policy.selects(layer) || measured.test(layer);
    }

    @Override
    public void attend(LayerStep step, float[] out, SelectionListener listener) {
        QueryRows rows = step.rows();
        LatentAttention attention = rows.isDecode() ? implementations.decode() : implementations.prefill();
        Selection chosen = rows.longest() <= topk ? EVERYTHING : select(step);
        if (chosen.k() == 0) {
            attention.dense(step.queries(), step.latents(), rows, out);
        } else {
            attention.sparse(step, chosen, out);
        }
        listener.selected(step, chosen);
    }

    private Selection select(LayerStep step) {
        if (policy.selects(step.layer())) {
            selection.resize(step.rows().rows(), topk);
            policy.select(step, selection);
        }
        return selection; // positions and slots are the same in all layers
    }
}
