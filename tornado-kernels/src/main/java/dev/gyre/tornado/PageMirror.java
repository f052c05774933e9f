package dev.gyre.tornado;

import dev.gyre.attention.cache.PageTable;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.CacheKernels;
import dev.gyre.tornado.kernels.Decode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.Arrays;

/**
 * A copy of a paged cache on the device: a pool of ints (bf16, FP8 codes) and one of floats (f32 values or FP8 scales).
 * Pages that changed on the host since they were sent are staged and scattered to their places before the cache is read.
 * So a page is written either by the host or by the device ({@link AppendRows}, {@link LatentPrologue}, {@link
 * IndexPrologue}), not by both: what the host sends replaces all of it.
 */
final class PageMirror {
    /** Name of the graph that updates the pools, for graphs that read them. */
    static final String GRAPH = "append";
    /** Pages that are sent together. */
    private static final int STAGED = 16;
    private static final int BLOCKS = 64;
    private static final int THREADS = 128;

    /** Stages pages: what a cache's dtype and layout mean on the device. */
    interface Source {
        /** How often the page was written. */
        int version(int page);

        /** Writes the page's content. */
        void stage(int page, IntArray ints, int intAt, FloatArray floats, int floatAt);
    }

    private final Source source;
    private final int pageInts;
    private final int pageFloats;
    private final int[] sent;
    private final IntArray intPool;
    private final FloatArray floatPool;
    private final IntArray stagedInts;
    private final FloatArray stagedFloats;
    private final IntArray pages = DeviceArrays.ints(1 + STAGED);
    private final IntArray sizes = DeviceArrays.ints(2);

    /**
     * @param pageCount pages of the cache
     * @param slotInts ints of a token; 0 where the format has none
     * @param slotFloats floats of a token; 0 where the format has none
     */
    PageMirror(Source source, int pageCount, int slotInts, int slotFloats) {
        this.source = source;
        pageInts = slotInts * PageTable.PAGE;
        pageFloats = slotFloats * PageTable.PAGE;
        sent = new int[pageCount];
        // an array that a format does not use is still an argument of the kernels
        intPool = DeviceArrays.ints(Math.addExact(Decode.LEAD, Math.multiplyExact(pageCount, pageInts)));
        floatPool = DeviceArrays.floats(Math.max(1, Math.multiplyExact(pageCount, pageFloats)));
        stagedInts = DeviceArrays.ints(Math.max(1, STAGED * pageInts));
        stagedFloats = DeviceArrays.floats(Math.max(1, STAGED * pageFloats));
        sizes.set(0, pageInts);
        sizes.set(1, pageFloats);
    }

    IntArray ints() {
        return intPool;
    }

    FloatArray floats() {
        return floatPool;
    }

    KernelGraph graph() {
        return new KernelGraph(GRAPH)
                .once(intPool, floatPool)
                .always(pages, sizes, stagedInts, stagedFloats)
                .then(Call.of("ints", BLOCKS, THREADS, 0)
                        .kernel(CacheKernels::kScatterInts, pages, sizes, stagedInts, intPool))
                .then(Call.of("floats", BLOCKS, THREADS, 0)
                        .kernel(CacheKernels::kScatterFloats, pages, sizes, stagedFloats, floatPool))
                .keep(intPool, floatPool);
    }

    /** Sends what changed; {@code graph} is the number of {@link #graph()} in the plan. */
    void update(DevicePlan plan, int graph) {
        int count = 0;
        for (int page = 0; page < sent.length; page++) {
            int version = source.version(page);
            if (version != sent[page]) {
                source.stage(page, stagedInts, count * pageInts, stagedFloats, count * pageFloats);
                pages.set(1 + count++, page);
                sent[page] = version;
                if (count == STAGED) {
                    send(plan, graph, count);
                    count = 0;
                }
            }
        }
        if (count > 0) {
            send(plan, graph, count);
        }
    }

    private void send(DevicePlan plan, int graph, int count) {
        pages.set(0, count);
        plan.run(graph);
    }

    /** A new plan has new pools: everything must be sent again, in one run at least so that the pools are there. */
    void forget(DevicePlan plan, int graph) {
        Arrays.fill(sent, 0);
        send(plan, graph, 0);
    }
}
