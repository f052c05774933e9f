package dev.gyre.attention;

import dev.gyre.attention.cache.PageTable;

import java.util.Arrays;

/**
 * The query rows of one step: the new tokens of every sequence, one row each, in order.
 *
 * <p>A row knows its sequence and how many tokens it may see. That is all causality needs: row {@code r} attends to
 * positions [0, {@link #visible(int) visible(r)}) of its own sequence, so there is no mask, and prefixes, chunks and
 * sequences of different lengths are all the same case. Built once per step and shared by every layer, as SGLang's
 * {@code dsa_backend} does with its metadata.
 */
public final class QueryRows {
    private int[] sequence = new int[16];
    private int[] visible = new int[16];
    private PageTable[] tables = new PageTable[4];
    private int rows;
    private int sequences;
    private int longest;
    private boolean decode = true;

    /** Forgets all rows, so that one object serves every step. */
    public void clear() {
        Arrays.fill(tables, 0, sequences, null);
        rows = 0;
        sequences = 0;
        longest = 0;
        decode = true;
    }

    /**
     * Adds rows for positions [from, to) of one sequence; its page table must already reach {@code to}.
     *
     * @return the first new row
     */
    public int add(PageTable table, int from, int to) {
        if (from < 0 || to <= from || table.capacity() < to) {
            throw new IllegalArgumentException(
                    "positions [" + from + ", " + to + ") in a page table of " + table.capacity() + " slots");
        }
        int first = rows;
        grow(to - from);
        addTable(table);
        for (int position = from; position < to; position++) {
            sequence[first + position - from] = sequences - 1;
            visible[first + position - from] = position + 1;
        }
        longest = Math.max(longest, to);
        decode &= to - from == 1;
        return first;
    }

    /**
     * Adds one row that sees the first tokens of a table of someone's choice: for views of what rows see, pooled or
     * picked. Rows that follow each other on the same table belong to one sequence and must see more and more.
     */
    public void addView(PageTable table, int seen) {
        if (seen < 1 || table.capacity() < seen) {
            throw new IllegalArgumentException(seen + " tokens of a page table of " + table.capacity() + " slots");
        }
        if (sequences == 0 || tables[sequences - 1] != table) {
            addTable(table);
        }
        grow(1);
        sequence[rows - 1] = sequences - 1;
        visible[rows - 1] = seen;
        longest = Math.max(longest, seen);
    }

    private void addTable(PageTable table) {
        if (sequences == tables.length) {
            tables = Arrays.copyOf(tables, sequences * 2);
        }
        tables[sequences++] = table;
    }

    /** Makes room for more rows. */
    private void grow(int count) {
        rows = Math.addExact(rows, count);
        if (rows > visible.length) {
            int capacity = Math.max(rows, Math.multiplyExact(visible.length, 2));
            visible = Arrays.copyOf(visible, capacity);
            sequence = Arrays.copyOf(sequence, capacity);
        }
    }

    /** How many rows there are. */
    public int rows() {
        return rows;
    }

    /** How many sequences they belong to. */
    public int sequences() {
        return sequences;
    }

    /** Which sequence a row belongs to, in the order of the calls of {@link #add}. */
    public int sequence(int row) {
        return sequence[row];
    }

    /** How many tokens of its sequence the row sees, itself included. */
    public int visible(int row) {
        return visible[row];
    }

    /** The position of the row's own token in its sequence. */
    public int position(int row) {
        return visible[row] - 1;
    }

    /** The most tokens that any row sees. */
    public int longest() {
        return longest;
    }

    /** Where the tokens of the row's sequence lie. */
    public PageTable table(int row) {
        return tables[sequence[row]];
    }

    /** The cache slot of a token of the row's sequence. */
    public int slot(int row, int position) {
        return tables[sequence[row]].slot(position);
    }

    /** Whether this is a decode step: exactly one new token for every sequence. */
    public boolean isDecode() {
        return decode;
    }
}
