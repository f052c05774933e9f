package dev.gyre.attention.policy;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;

/** A policy whose rows choose k tokens each; those that see no more than k take them all. */
abstract class TopKPolicy implements SelectionPolicy {
    private final String spec;

    TopKPolicy(PolicyParameters parameters) {
        spec = parameters.spec();
    }

    @Override
    public final String spec() {
        return spec;
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
