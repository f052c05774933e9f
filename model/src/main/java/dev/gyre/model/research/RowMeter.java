package dev.gyre.model.research;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.policy.HostOperations;

/** Computes for rows of a step where attention to everything would go, and what the indexer says of every token. */
final class RowMeter {
    /** Rows whose attention is computed together. */
    private static final int GROUP = 32;

    private final HostOperations operations;
    private final int[] chosen = new int[GROUP];
    private float[] mass = new float[0];
    private float[] scores = new float[0];

    /** Which rows are of interest. */
    interface Wanted {
        boolean test(QueryRows rows, int row);
    }

    /** Takes what was computed of one row. */
    interface Sink {
        /**
         * @param selected the positions that the row attends to, ascending
         * @param mass on position s at {@code massAt + s}
         * @param scores of position s at s; null where the layer ran no indexer
         */
        void accept(LayerStep step, int row, int[] selected, float[] mass, int massAt, float[] scores);
    }

    RowMeter(HostOperations operations) {
        this.operations = operations;
    }

    void measure(LayerStep step, Selection selection, Wanted wanted, Sink sink) {
        QueryRows rows = step.rows();
        int count = 0;
        for (int row = 0; row < rows.rows(); row++) {
            if (wanted.test(rows, row)) {
                chosen[count++] = row;
            }
            if (count == GROUP || row == rows.rows() - 1 && count > 0) {
                measure(step, selection, count, sink);
                count = 0;
            }
        }
    }

    private void measure(LayerStep step, Selection selection, int count, Sink sink) {
        QueryRows rows = step.rows();
        int stride = rows.longest();
        if (scores.length < stride) {
            scores = new float[stride];
            mass = new float[Math.multiplyExact(GROUP, stride)];
        }
        operations.mass().mass(step.queries(), step.latents(), rows, chosen, count, mass, stride);
        for (int i = 0; i < count; i++) {
            int row = chosen[i];
            boolean scored = step.index() != null;
            if (scored) {
                operations.indexer().score(step.index(), step.keys(), rows, row, row + 1, scores, stride);
            }
            sink.accept(step, row, selection.chosen(rows, row), mass, i * stride, scored ? scores : null);
        }
    }
}
