package dev.gyre.attention.policy;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;

/**
 * {@code recent}: the first few tokens, which attention uses as a sink, and a window of the latest, k in all
 * (StreamingLLM, arXiv 2309.17453).
 *
 * <p>Costs no operations and reads nothing.
 */
final class RecentPolicy extends TopKPolicy {
    private final int sink;

    RecentPolicy(PolicyParameters parameters, PolicyContext context) {
        super(parameters, context);
        sink = parameters.count("sink", 0);
        if (sink >= shape.topk()) {
            throw EngineException.usage("the selection policy " + spec() + " leaves no room for a window: sink must be "
                    + "below the " + shape.topk() + " tokens of index_topk.");
        }
    }

    @Override
    void choose(LayerStep step, int from, int to, Selection selection) {
        int k = selection.k();
        for (int row = from; row < to; row++) {
            int skipped = step.rows().visible(row) - k;
            for (int i = 0; i < k; i++) {
                selection.positions()[row * k + i] = i < sink ? i : i + skipped;
            }
            selection.finishRow(step.rows(), row, k);
        }
    }
}
