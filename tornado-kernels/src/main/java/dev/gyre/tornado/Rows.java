package dev.gyre.tornado;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.tornado.graph.DeviceArrays;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What kernels know of the rows of a call: how many tokens each sees, and the pages where they lie.
 *
 * @param visible {@code [capacity]}
 * @param tables {@code [capacity, stride]}
 * @param stride pages of the longest sequence that there is room for
 */
record Rows(IntArray visible, IntArray tables, int capacity, int stride) {
    static Rows allocate(int capacity, int tokens) {
        int stride = Math.ceilDiv(tokens, PageTable.PAGE);
        return new Rows(
                DeviceArrays.ints(capacity),
                DeviceArrays.ints(Math.multiplyExact(capacity, stride)),
                capacity,
                stride);
    }

    /** Describes the rows [from, to). */
    void set(QueryRows rows, int from, int to) {
        for (int row = from; row < to; row++) {
            int seen = rows.visible(row);
            visible.set(row - from, seen);
            PageTable table = rows.table(row);
            for (int page = 0; page * PageTable.PAGE < seen; page++) {
                tables.set((row - from) * stride + page, table.page(page));
            }
        }
    }

    /** A capacity for rows that grow: the next power of two, at least 256. */
    static int room(int tokens) {
        return Integer.highestOneBit(Math.max(tokens, 256) - 1) * 2;
    }
}
