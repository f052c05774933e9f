package dev.gyre.attention.policy;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;

/**
 * {@code dense}: every row attends to everything that it sees, as DeepSeek-V3 does (arXiv 2405.04434).
 *
 * <p>Choosing costs nothing; attending is to all L tokens.
 */
final class DensePolicy implements SelectionPolicy {
    private final PolicyParameters parameters;
    private final LayerShape shape;

    DensePolicy(PolicyParameters parameters, PolicyContext context) {
        this.parameters = parameters;
        shape = context.shape();
    }

    @Override
    public String spec() {
        return parameters.spec();
    }

    @Override
    public boolean usesIndexer() {
        return false;
    }

    @Override
    public void select(LayerStep step, Selection selection) {
        selection.resize(step.rows().rows(), 0);
    }

    @Override
    public SelectionCost cost(int context) {
        return shape.attending(context);
    }
}
