package dev.gyre.tornado;

import dev.gyre.attention.EngineException;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.TopKKernels;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** The arrays of top-k, and its graph: rows that run together, of up to {@code most} scores each. */
final class TopKPlan {
    private final int k;
    private final int most;
    private final int threads;
    private final int sharingThreads;
    private final int blocks;
    private final Rows rows;
    private final IntArray meta = DeviceArrays.ints(5);
    private final IntArray scores;
    private final IntArray flags;
    private final IntArray keys;
    private final IntArray counts;
    private final IntArray found;
    private final IntArray positions;
    private final IntArray slots;

    /** @param threads of a block, where a row is one block's */
    TopKPlan(int capacity, int k, int longest, int threads) {
        if (longest >= TopKKernels.LONGEST) {
            throw new EngineException("tornado's top-k serves fewer than " + TopKKernels.LONGEST + " tokens a sequence, and "
                    + longest + " are asked for; use --dsa-topk-backend vector or a shorter --context-length.");
        }
        this.k = k;
        this.threads = threads;
        most = Math.ceilDiv(longest, TopKKernels.STRETCH) * TopKKernels.STRETCH;
        sharingThreads = Math.min(TopKKernels.SHARING_THREADS, threads);
        blocks = TopKKernels.sharingBlocks(capacity, most, sharingThreads);
        rows = Rows.allocate(capacity, most);
        scores = DeviceArrays.ints(Math.multiplyExact(capacity, most));
        keys = DeviceArrays.ints(capacity * most);
        flags = DeviceArrays.ints(capacity * (most / 32 * 3));
        counts = DeviceArrays.ints(Math.max(1, capacity * blocks * TopKKernels.COUNTS));
        found = DeviceArrays.ints(capacity * TopKKernels.FOUND);
        positions = DeviceArrays.ints(Math.multiplyExact(capacity, k));
        slots = DeviceArrays.ints(capacity * k);
    }

    int k() {
        return k;
    }

    /** Scores of a row that there is room for: the stride of {@link #scores}. */
    int most() {
        return most;
    }

    Rows rows() {
        return rows;
    }

    /** Bits of f32 scores. */
    IntArray scores() {
        return scores;
    }

    IntArray positions() {
        return positions;
    }

    IntArray slots() {
        return slots;
    }

    /** Says how many rows the next run has. */
    void set(int count) {
        int[] values = {count, k, most, rows.stride(), blocks};
        DeviceArrays.copy(values, 0, meta, 0, values.length);
    }

    /** One kernel; two where the rows are few and long. */
    KernelGraph graph() {
        KernelGraph graph = new KernelGraph("topk")
                .once(positions, slots, flags, keys, found)
                .always(meta, rows.visible(), rows.tables(), scores)
                .results(positions, slots);
        if (blocks == 0) {
            return graph.then(Call.of("select", rows.capacity(), threads, TopKKernels.LOCAL_BYTES)
                    .kernel(TopKKernels::kTopK, meta, rows.visible(), rows.tables(), scores, flags, keys, found,
                            positions, slots));
        }
        return graph.once(counts)
                .then(Call.of("sift", rows.capacity() * blocks, sharingThreads, TopKKernels.LOCAL_BYTES)
                        .kernel(TopKKernels::kSift, meta, rows.visible(), scores, flags, counts, found))
                .then(Call.of("select", rows.capacity(), threads, TopKKernels.LOCAL_BYTES)
                        .kernel(TopKKernels::kSelect, meta, rows.visible(), rows.tables(), scores, flags, keys, counts,
                                found, positions, slots));
    }
}
