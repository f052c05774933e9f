package dev.gyre.benchmarks.gpu;

import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.kernels.TopKKernels;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** The 2048 best of a row's scores, half of which are exact zeros. */
final class TopKWork implements Workload {
    private static final int K = 2048;
    /** Rows that are checked. */
    private static final int CHECKED = 128;

    private final int rows;
    private final int length;
    private final IntArray meta;
    private final IntArray visible;
    private final IntArray tables;
    private final IntArray scores;
    private final int blocks;
    private final IntArray flags;
    private final IntArray keys;
    private final IntArray found;
    private final IntArray counts;
    private final IntArray positions;
    private final IntArray slots;

    TopKWork(int rows, int length) {
        this.rows = rows;
        this.length = length;
        blocks = TopKKernels.sharingBlocks(rows, length, TopKKernels.SHARING_THREADS);
        meta = IntArray.fromElements(rows, K, length, length / 64, blocks);
        flags = DeviceArrays.ints(rows * (length / 32 * 3));
        keys = DeviceArrays.ints(rows * length);
        found = DeviceArrays.ints(rows * TopKKernels.FOUND);
        counts = DeviceArrays.ints(Math.max(1, rows * blocks * TopKKernels.COUNTS));
        visible = new IntArray(rows);
        visible.init(length);
        tables = new IntArray(rows * length / 64);
        for (int i = 0; i < tables.getSize(); i++) {
            tables.set(i, (int) (i * 7919L % tables.getSize()));
        }
        scores = new IntArray(rows * length);
        float[] some = Inputs.normal(1 << 20, 7);
        Inputs.fill(scores, random -> Float.floatToRawIntBits(Math.max(0f, some[random & 0xfffff])));
        positions = new IntArray(rows * K);
        slots = new IntArray(rows * K);
    }

    @Override
    public String name() {
        return "top-k 2048, " + rows + " x " + length;
    }

    @Override
    public List<Kernel> kernels() {
        if (blocks == 0) {
            return List.of(id -> Call.of(id, rows, TopKKernels.MOST_BLOCK, TopKKernels.LOCAL_BYTES)
                    .kernel(TopKKernels::kTopK, meta, visible, tables, scores, flags, keys, found, positions, slots));
        }
        return List.of(
                id -> Call.of(id, rows * blocks, TopKKernels.SHARING_THREADS, TopKKernels.LOCAL_BYTES)
                        .kernel(TopKKernels::kSift, meta, visible, scores, flags, counts, found),
                id -> Call.of(id, rows, TopKKernels.MOST_BLOCK, TopKKernels.LOCAL_BYTES)
                        .kernel(TopKKernels::kSelect, meta, visible, tables, scores, flags, keys, counts, found,
                                positions, slots));
    }

    @Override
    public List<Object> resident() {
        return List.of(meta, visible, tables, scores, flags, keys, found, counts, positions, slots);
    }

    @Override
    public List<Object> results() {
        return List.of(positions, slots);
    }

    @Override
    public double flops() {
        return 0;
    }

    @Override
    public double bytes() {
        return 4.0 * rows * length + 8.0 * rows * K;
    }

    @Override
    public String mistake() {
        int step = Math.max(1, rows / CHECKED);
        long wrong = IntStream.range(0, rows / step).parallel().map(i -> i * step).mapToLong(this::wrong).sum();
        return wrong == 0 ? "" : wrong + " wrong positions or slots";
    }

    private long wrong(int row) {
        long[] order = new long[length];
        for (int i = 0; i < length; i++) {
            order[i] = (long) -scores.get(row * length + i) << 32 | i; // scores are not negative
        }
        Arrays.sort(order);
        int[] expected = Arrays.stream(order, 0, K).mapToInt(value -> (int) value).sorted().toArray();
        return IntStream.range(0, K)
                .filter(i -> {
                    int slot = tables.get(row * (length / 64) + expected[i] / 64) * 64 + expected[i] % 64;
                    return positions.get(row * K + i) != expected[i] || slots.get(row * K + i) != slot;
                })
                .count();
    }
}
