package dev.gyre.model.ops;

import java.util.Arrays;

/**
 * What comes to the host of some rows' logits: all of a row, or its best where these are {@linkplain #add enough}.
 * Reused from step to step.
 */
public final class LogitRows {
    private final int vocabulary;
    private int rows;
    private int[] enough = new int[1];
    private Candidates[] best = new Candidates[1];
    private float[] all = new float[0];

    /** No rows yet, of {@code vocabulary} logits each. */
    public LogitRows(int vocabulary) {
        this.vocabulary = vocabulary;
    }

    /** There are no rows any more. */
    public void clear() {
        Arrays.fill(best, 0, rows, null);
        rows = 0;
    }

    /**
     * Another row.
     *
     * @param most how many of its best tokens are enough; 0 where all logits are needed
     */
    public void add(int most) {
        if (rows == enough.length) {
            enough = Arrays.copyOf(enough, rows * 2);
            best = Arrays.copyOf(best, rows * 2);
        }
        enough[rows++] = most;
    }

    /** How many rows there are. */
    public int rows() {
        return rows;
    }

    /** How many of a row's best tokens are enough; 0 where all logits are needed. */
    public int enough(int row) {
        return enough[row];
    }

    /** The best tokens of a row; null where all its logits came. */
    public Candidates best(int row) {
        return best[row];
    }

    /** Sets what came in place of all logits. */
    public void setBest(int row, Candidates candidates) {
        best[row] = candidates;
    }

    /** Room for all logits of all rows, {@code [rows, vocabulary]}; made when first asked for. */
    public float[] all() {
        int size = Math.multiplyExact(rows, vocabulary);
        if (all.length < size) {
            all = new float[size];
        }
        return all;
    }
}
