package dev.gyre.attention.reference;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;

import java.util.Arrays;

/** Sorts the whole row by (score descending, position ascending) and keeps the first k. */
public final class ReferenceTopK implements TopK {
    private final WorkerPool pool;

    /** @param pool the threads that share the rows */
    public ReferenceTopK(WorkerPool pool) {
        this.pool = pool;
    }

    @Override
    public void select(float[] scores, int stride, QueryRows rows, int from, int to, Selection selection) {
        pool.run(to - from, (i, worker) -> {
            int row = from + i;
            int count = Math.min(selection.k(), rows.visible(row));
            long[] order = new long[rows.visible(row)];
            for (int position = 0; position < order.length; position++) {
                order[position] = (long) rank(scores[i * stride + position]) << 32 | position;
            }
            Arrays.sort(order);
            int[] positions = selection.positions();
            int start = row * selection.k();
            for (int j = 0; j < count; j++) {
                positions[start + j] = (int) order[j];
            }
            Arrays.sort(positions, start, start + count);
            selection.finishRow(rows, row, count);
        });
    }

    /** An int that is lower for a higher score, equal for both zeros, and highest for NaN. */
    static int rank(float score) {
        if (Float.isNaN(score)) {
            return Integer.MAX_VALUE;
        }
        int bits = Float.floatToRawIntBits(score + 0f); // -0 + 0 is +0
        int ascending = bits ^ ((bits >> 31) & 0x7fff_ffff);
        return ~ascending;
    }
}
