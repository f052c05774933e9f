package dev.gyre.attention.policy;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;

/**
 * Decides which of the tokens that a query row sees it attends to. One object serves all layers of a model, one step
 * after the other; its decision depends on nothing but the layer, the row's own query and what the row sees, so that it
 * is the same alone, in a batch, in a chunk and token by token.
 *
 * <p>Policies whose rows choose k tokens each extend {@link TopKPolicy}.
 */
public interface SelectionPolicy {
    /** The name and parameters, as {@code --selection-policy} takes them. */
    String spec();

    /** Whether it needs index queries and keys in the layers that select. */
    boolean usesIndexer();

    /** Whether a layer selects by itself; otherwise it attends to what the last layer before it selected that does. */
    default boolean selects(int layer) {
        return true;
    }

    /**
     * Selects for all rows of a step in a layer for which {@link #selects} holds. Not called where no row sees more
     * than k tokens: then everything is attended to.
     *
     * @param selection resized to {@code [rows, k]}; every row is set, or it is resized to {@code [rows, 0]}, which
     *     selects everything
     */
    void select(LayerStep step, Selection selection);

    /**
     * What a query row that sees {@code context} tokens costs in a layer: the mean over the layers of a model, for a
     * decode step of one sequence, where rows share nothing.
     */
    SelectionCost cost(int context);
}
