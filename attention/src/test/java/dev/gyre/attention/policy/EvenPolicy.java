package dev.gyre.attention.policy;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;

// README
/** {@code even}: k tokens evenly spread over all that a row sees, its own among them. Costs nothing. */
final class EvenPolicy extends TopKPolicy {
    EvenPolicy(PolicyParameters parameters, PolicyContext context) {
        super(parameters, context);
    }

    @Override
    void choose(LayerStep step, int from, int to, Selection selection) {
        int k = selection.k();
        for (int row = from; row < to; row++) { // each sees more than k tokens
            for (int i = 0; i < k; i++) {
                selection.positions()[row * k + i] = (int) ((i + 1L) * step.rows().visible(row) / k) - 1;
            }
            selection.finishRow(step.rows(), row, k);
        }
    }
}
// end
