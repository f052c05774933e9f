package dev.gyre.model.research;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.model.ops.StepObserver;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * How much selections have in common, {@code |A and B| / min(|A|, |B|)}, on average over rows: those of two layers for
 * the same token, and those of a layer for a token and the one before it. For a single sequence, run from its start or
 * from anywhere, in order. One thread at a time.
 */
public final class SelectionOverlap implements StepObserver {
    private final int topk;
    private final double[][] layerSums;
    private final double[] stepSums;
    private long rows;
    private long steps;
    /** The selections of the step so far, by row and layer. */
    private final Map<Integer, int[][]> current = new HashMap<>();
    /** Those of the token before. */
    private int[][] before;
    private int beforePosition = -1;

    /**
     * @param layers of the model
     * @param topk rows that see no more than this select everything and are not counted
     */
    public SelectionOverlap(int layers, int topk) {
        this.topk = topk;
        layerSums = new double[layers][layers];
        stepSums = new double[layers];
    }

    /** How many positions two ascending lists have in common. */
    static int common(int[] one, int[] other) {
        int common = 0;
        for (int i = 0, j = 0; i < one.length && j < other.length; ) {
            int difference = Integer.compare(one[i], other[j]);
            common += difference == 0 ? 1 : 0;
            i += difference <= 0 ? 1 : 0;
            j += difference >= 0 ? 1 : 0;
        }
        return common;
    }

    private static double overlap(int[] one, int[] other) {
        return (double) common(one, other) / Math.min(one.length, other.length);
    }

    /** How many tokens were counted. */
    public long rows() {
        return rows;
    }

    /** Overlap of each two layers, {@code [layers, layers]}; NaN where no token was counted. */
    public double[][] betweenLayers() {
        return Arrays.stream(layerSums)
                .map(row -> Arrays.stream(row).map(sum -> sum / rows).toArray())
                .toArray(double[][]::new);
    }

    /** Overlap with the selection for the token before, by layer; NaN where no two such tokens were counted. */
    public double[] betweenSteps() {
        return Arrays.stream(stepSums).map(sum -> sum / steps).toArray();
    }

    @Override
    public void selected(LayerStep step, Selection selection) {
        QueryRows asked = step.rows();
        int layers = stepSums.length;
        for (int row = 0; row < asked.rows(); row++) {
            if (asked.visible(row) > topk) {
                current.computeIfAbsent(asked.position(row), position -> new int[layers][])[step.layer()] =
                        selection.chosen(asked, row);
            }
        }
        if (step.layer() == layers - 1) {
            for (int row = 0; row < asked.rows(); row++) {
                if (asked.visible(row) > topk) {
                    count(asked.position(row));
                }
            }
            current.clear();
        }
    }

    private void count(int position) {
        int[][] selections = current.get(position);
        rows++;
        for (int one = 0; one < selections.length; one++) {
            for (int other = 0; other < selections.length; other++) {
                layerSums[one][other] += overlap(selections[one], selections[other]);
            }
        }
        if (beforePosition == position - 1) {
            steps++;
            for (int layer = 0; layer < selections.length; layer++) {
                stepSums[layer] += overlap(selections[layer], before[layer]);
            }
        }
        before = selections;
        beforePosition = position;
    }
}
