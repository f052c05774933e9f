package dev.gyre.model.ops;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;

import java.util.Arrays;

/**
 * One forward pass: new tokens of some sequences, where their caches lie, and who watches. Reused from step to step.
 */
public final class Step {
    private final QueryRows rows = new QueryRows();
    private final KvCache cache;
    private int[] tokens = new int[16];
    private StepObserver observer = StepObserver.NONE;

    /** A step over sequences whose pages belong to {@code cache}. */
    public Step(KvCache cache) {
        this.cache = cache;
    }

    /** Empties the step. */
    public void clear(StepObserver observer) {
        rows.clear();
        this.observer = observer;
    }

    /**
     * Adds {@code tokens[from, to)} of a sequence, which stand at positions {@code position}, {@code position + 1}, …
     */
    public void add(PageTable table, int position, int[] source, int from, int to) {
        int first = rows.add(table, position, position + to - from);
        if (rows.rows() > tokens.length) {
            tokens = Arrays.copyOf(tokens, Math.max(rows.rows(), tokens.length * 2));
        }
        System.arraycopy(source, from, tokens, first, to - from);
    }

    /** The rows, one a token. */
    public QueryRows rows() {
        return rows;
    }

    /** The token of a row. */
    public int token(int row) {
        return tokens[row];
    }

    /** The caches of the sequences. */
    public KvCache cache() {
        return cache;
    }

    /** Who watches. */
    public StepObserver observer() {
        return observer;
    }
}
