package dev.gyre.benchmarks.gpu;

import dev.gyre.tornado.graph.Call;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.List;

/** Copies an array of 1 GB: what a kernel can move. */
final class CopyWork implements Workload {
    private static final int INTS = 1 << 28;
    private static final int THREADS = 256;
    /** Ints of a thread. */
    private static final int SHARE = 8;

    private final IntArray count = IntArray.fromElements(INTS);
    private final IntArray from = new IntArray(INTS);
    private final IntArray to = new IntArray(INTS);

    CopyWork() {
        Inputs.fill(from, random -> random);
    }

    private static void kCopy(KernelContext context, IntArray count, IntArray from, IntArray to) {
        int first = context.groupIdx * 2048 + context.localIdx;
        int v0 = from.get(first);
        int v1 = from.get(first + 256);
        int v2 = from.get(first + 512);
        int v3 = from.get(first + 768);
        int v4 = from.get(first + 1024);
        int v5 = from.get(first + 1280);
        int v6 = from.get(first + 1536);
        int v7 = from.get(first + 1792);
        if (first < count.get(0)) {
            to.set(first, v0);
            to.set(first + 256, v1);
            to.set(first + 512, v2);
            to.set(first + 768, v3);
            to.set(first + 1024, v4);
            to.set(first + 1280, v5);
            to.set(first + 1536, v6);
            to.set(first + 1792, v7);
        }
    }

    @Override
    public String name() {
        return "copy of 1 GB";
    }

    @Override
    public List<Kernel> kernels() {
        return List.of(
                id -> Call.of(id, INTS / (THREADS * SHARE), THREADS, 0).kernel(CopyWork::kCopy, count, from, to));
    }

    @Override
    public List<Object> resident() {
        return List.of(count, from, to);
    }

    @Override
    public List<Object> results() {
        return List.of(to);
    }

    @Override
    public double flops() {
        return 0;
    }

    @Override
    public double bytes() {
        return 8.0 * INTS;
    }

    @Override
    public String mistake() {
        for (int i = 0; i < INTS; i += 997) {
            if (to.get(i) != from.get(i)) {
                return "element " + i + " is wrong";
            }
        }
        return "";
    }
}
