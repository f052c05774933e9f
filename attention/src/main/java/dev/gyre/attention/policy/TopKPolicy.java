package dev.gyre.attention.policy;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;

/**
 * A policy whose rows choose k tokens each; those that see no more than k take them all. As it stands it does not use
 * the indexer, and choosing costs nothing.
 */
abstract class TopKPolicy implements SelectionPolicy {
    /** Of the model's layers. */
    final LayerShape shape;
    private final String spec;

    TopKPolicy(PolicyParameters parameters, PolicyContext context) {
        spec = parameters.spec();
        shape = context.shape();
    }

    @Override
    public final String spec() {
        return spec;
    }

    @Override
    public boolean usesIndexer() {
        return false;
    }

    @Override
    public SelectionCost cost(int context) {
        return shape.choosing(0, 0, context);
    }

    @Override
    public final void select(LayerStep step, Selection selection) {
        QueryRows rows = step.rows();
        for (int row = 0; row < rows.rows(); ) {
            if (rows.visible(row) <= selection.k()) {
                selection.selectAll(rows, row++);
                continue;
            }
            int from = row;
            while (row < rows.rows() && rows.visible(row) > selection.k()) {
                row++;
            }
            choose(step, from, row, selection);
        }
    }

    /** Sets the rows [from, to) of a selection; each of them sees more than k tokens. */
    abstract void choose(LayerStep step, int from, int to, Selection selection);
}
