package dev.gyre.tornado;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import dev.gyre.attention.cache.PageTable;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.Decode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** A cache's mirror on the device with one graph that writes to it, and what the host's cache would look like there. */
final class MirroredPlan implements AutoCloseable {
    private final PageMirror.Source source;
    private final PageMirror mirror;
    private final DevicePlan plan;

    /** Sends the host's cache as it is now. */
    MirroredPlan(PageMirror.Source source, PageMirror mirror, KernelGraph graph) {
        this.source = source;
        this.mirror = mirror;
        graph.onDemand(mirror.ints(), mirror.floats());
        plan = new DevicePlan(Devices.pick(null), List.of(mirror.graph(), graph));
        mirror.forget(plan, 0);
        mirror.update(plan, 0);
    }

    /** Runs the graph and brings the pools back, and other arrays that it has on demand. */
    void run(Object... others) {
        plan.run(1);
        plan.fetch(mirror.ints(), mirror.floats());
        if (others.length > 0) {
            plan.fetch(others);
        }
    }

    /** The whole device's pools, the slots without tokens too, against the host's cache as it is now, bit by bit. */
    void assertEqualsHost(int pages, String where) {
        int pageInts = (mirror.ints().getSize() - Decode.LEAD) / pages;
        int pageFloats = mirror.floats().getSize() / pages;
        IntArray ints = DeviceArrays.ints(mirror.ints().getSize());
        FloatArray floats = DeviceArrays.floats(mirror.floats().getSize());
        for (int page = 0; page < pages; page++) {
            // a mirror stages from index 0 on: into a page's arrays, and from there behind the lead
            IntArray pageOfInts = DeviceArrays.ints(Math.max(1, pageInts));
            FloatArray pageOfFloats = DeviceArrays.floats(Math.max(1, pageFloats));
            source.stage(page, pageOfInts, 0, pageOfFloats, 0);
            MemorySegment.copy(pageOfInts.getSegment(), 0, ints.getSegment(),
                    4L * (Decode.LEAD + (long) page * pageInts), 4L * pageInts);
            MemorySegment.copy(pageOfFloats.getSegment(), 0, floats.getSegment(), 4L * page * pageFloats,
                    4L * pageFloats);
        }
        assertBits(ints.getSegment(), mirror.ints().getSegment(), Decode.LEAD, pageInts, where + ", ints");
        assertBits(floats.getSegment(), mirror.floats().getSegment(), 0, pageFloats, where + ", floats");
    }

    private static void assertBits(MemorySegment expected, MemorySegment found, int lead, int page, String where) {
        assertEquals(expected.byteSize(), found.byteSize(), where);
        long at = expected.mismatch(found);
        if (at >= 0 && page > 0) {
            long i = at / 4 - lead;
            long inPage = i % page;
            fail(where + ": page " + i / page + ", slot " + inPage / (page / PageTable.PAGE) + " of it, element "
                    + inPage % (page / PageTable.PAGE) + ": " + hex(expected, at) + " expected, found "
                    + hex(found, at));
        }
    }

    private static String hex(MemorySegment segment, long at) {
        return Integer.toHexString(segment.get(ValueLayout.JAVA_INT, at / 4 * 4));
    }

    @Override
    public void close() {
        plan.close();
    }
}
