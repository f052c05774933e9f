package dev.gyre.tornado.decoder;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.ops.Step;
import dev.gyre.tornado.graph.DeviceArrays;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What goes to the device with every step.
 *
 * @param counts how many rows the layers have and how many rows' logits are wanted: {@link #ROWS}, {@link #OUTPUTS}
 * @param tokens {@code [capacity]}
 * @param visible {@code [capacity]}: how many tokens a row sees, itself the last
 * @param tables {@code [capacity, stride]}: pages of a row's sequence
 * @param wanted {@code [capacity]}: rows whose logits are wanted
 * @param topk, attend, latents, keys what the kernels of these names know of the step, of which [0] is the rows
 * @param stride pages of the longest sequence
 */
record StepInputs(
        IntArray counts,
        IntArray tokens,
        IntArray visible,
        IntArray tables,
        IntArray wanted,
        IntArray topk,
        IntArray attend,
        IntArray latents,
        IntArray keys,
        int stride) {
    /** The place of the rows' number in {@link #counts}. */
    static final int ROWS = 0;
    /** The place there of the number of rows whose logits are wanted. */
    static final int OUTPUTS = 1;

    static StepInputs allocate(int capacity, int stride) {
        return new StepInputs(
                DeviceArrays.ints(2),
                DeviceArrays.ints(capacity),
                DeviceArrays.ints(capacity),
                DeviceArrays.ints(Math.multiplyExact(capacity, stride)),
                DeviceArrays.ints(capacity),
                DeviceArrays.ints(5),
                DeviceArrays.ints(7),
                DeviceArrays.ints(6),
                DeviceArrays.ints(6),
                stride);
    }

    Object[] arrays() {
        return new Object[] {counts, tokens, visible, tables, wanted, topk, attend, latents, keys};
    }

    void set(Step step) {
        QueryRows rows = step.rows();
        for (int row = 0; row < rows.rows(); row++) {
            tokens.set(row, step.token(row));
            visible.set(row, rows.visible(row));
            PageTable table = rows.table(row);
            for (int page = 0; page * PageTable.PAGE < rows.visible(row); page++) {
                tables.set(row * stride + page, table.page(page));
            }
        }
        rows(rows.rows());
    }

    /** How many rows the layers have. */
    void rows(int count) {
        counts.set(ROWS, count);
        topk.set(0, count);
        attend.set(0, count);
        latents.set(0, count);
        keys.set(0, count);
    }

    void outputs(int[] rows, int from, int count) {
        counts.set(OUTPUTS, count);
        DeviceArrays.copy(rows, from, wanted, 0, count);
    }
}
