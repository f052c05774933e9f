package dev.gyre.model.ops.cpu;

import dev.gyre.model.checkpoint.Weight;

import java.util.Arrays;

/**
 * Several matrix products that do not need one another's results: {@link Kernels#linear(LinearGroups)} computes them
 * together, so that threads wait for each other once and not once for each. Reused from step to step, without garbage.
 */
final class LinearGroups {
    /** {@code out[outRow + r] = x[xRow + r] weight^T} for {@code rows} rows. */
    static final class Group {
        int rows;
        HostTensor x;
        int xRow;
        Weight weight;
        HostTensor out;
        int outRow;
    }

    private Group[] groups = new Group[0];
    private int count;

    void clear() {
        count = 0;
    }

    void add(int rows, HostTensor x, int xRow, Weight weight, HostTensor out, int outRow) {
        if (count == groups.length) {
            groups = Arrays.copyOf(groups, Math.max(16, count * 2));
            Arrays.setAll(groups, i -> i < count ? groups[i] : new Group());
        }
        Group group = groups[count++];
        group.rows = rows;
        group.x = x;
        group.xRow = xRow;
        group.weight = weight;
        group.out = out;
        group.outRow = outRow;
    }

    int count() {
        return count;
    }

    Group get(int i) {
        return groups[i];
    }
}
