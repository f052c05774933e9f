package dev.gyre.attention;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Which tokens each query row attends to: {@code [rows, k]} positions, ascending, and the cache slots where they lie,
 * both padded with -1.
 */
public final class Selection {
    /** What fills the places of a row that selects fewer than k tokens. */
    public static final int NONE = -1;

    private int[] positions = new int[0];
    private int[] slots = new int[0];
    private int rows;
    private int k;

    /** Makes room for {@code [rows, k]}; the content is unspecified until every row was set. */
    public void resize(int rows, int k) {
        int size = Math.multiplyExact(rows, k);
        if (positions.length < size) {
            positions = new int[size];
            slots = new int[size];
        }
        this.rows = rows;
        this.k = k;
    }

    /** How many rows there are. */
    public int rows() {
        return rows;
    }

    /** How many tokens a row selects at most. */
    public int k() {
        return k;
    }

    /** {@code [rows, k]}: positions within the row's sequence; do not keep. */
    public int[] positions() {
        return positions;
    }

    /** {@code [rows, k]}: cache slots; do not keep. */
    public int[] slots() {
        return slots;
    }

    /**
     * Ends a row of which the first {@code count} positions are set: pads it and looks the slots up.
     */
    public void finishRow(QueryRows queries, int row, int count) {
        int start = row * k;
        for (int i = start; i < start + count; i++) {
            slots[i] = queries.slot(row, positions[i]);
        }
        Arrays.fill(positions, start + count, start + k, NONE);
        Arrays.fill(slots, start + count, start + k, NONE);
    }

    /** Selects everything the row sees; it must see no more than k tokens. */
    public void selectAll(QueryRows queries, int row) {
        int count = queries.visible(row);
        for (int position = 0; position < count; position++) {
            positions[row * k + position] = position;
        }
        finishRow(queries, row, count);
    }

    /** The positions that a row attends to, without padding; where k is 0, all that it sees. */
    public int[] chosen(QueryRows queries, int row) {
        if (k == 0) {
            return IntStream.range(0, queries.visible(row)).toArray();
        }
        return Arrays.copyOfRange(positions, row * k, row * k + count(row));
    }

    /** How many tokens a row selects. */
    public int count(int row) {
        int count = 0;
        while (count < k && positions[row * k + count] != NONE) {
            count++;
        }
        return count;
    }
}
