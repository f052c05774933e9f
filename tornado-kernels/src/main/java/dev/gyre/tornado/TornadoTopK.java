package dev.gyre.tornado;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.TopKKernels;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** Top-k on a device. */
final class TornadoTopK implements TopK, AutoCloseable {
    /** Rows that run together. */
    private static final int ROWS = 16;

    private final TornadoDevice device;
    private final int threads;
    private State state;

    /** Arrays of a plan for rows of up to {@code most} scores. */
    private record State(
            int k, int most, Rows rows, IntArray meta, IntArray scores, IntArray positions, IntArray slots,
            DevicePlan plan) {}

    TornadoTopK(TornadoDevice device) {
        this.device = device;
        int largest = device.getPhysicalDevice().getMaxThreadsPerBlock();
        threads = Integer.highestOneBit(Math.min(TopKKernels.MOST_BLOCK, Math.max(largest, 64)));
    }

    @Override
    public void select(float[] scores, int stride, QueryRows rows, int from, int to, Selection selection) {
        int k = selection.k();
        if (state == null || state.k() != k || state.most() < rows.longest()) {
            close();
            state = allocate(k, Rows.room(rows.longest()));
        }
        int[] meta = {0, k, state.most(), state.rows().stride()};
        for (int first = from; first < to; first += ROWS) {
            int count = Math.min(ROWS, to - first);
            meta[0] = count;
            DeviceArrays.copy(meta, 0, state.meta(), 0, meta.length);
            state.rows().set(rows, first, first + count);
            for (int i = 0; i < count; i++) {
                MemorySegment.copy(scores, (first - from + i) * stride, state.scores().getSegment(),
                        ValueLayout.JAVA_FLOAT, i * 4L * state.most(), rows.visible(first + i));
            }
            try {
                state.plan().run(0);
            } catch (RuntimeException e) {
                close(); // a plan whose arrays are not all there must not run again
                throw e;
            }
            DeviceArrays.copy(state.positions(), 0, selection.positions(), first * k, count * k);
            DeviceArrays.copy(state.slots(), 0, selection.slots(), first * k, count * k);
        }
    }

    /** Frees the plan; where another one does not fit the device, none is left to be used. */
    @Override
    public void close() {
        State closing = state;
        state = null;
        if (closing != null) {
            closing.plan().close();
        }
    }

    private State allocate(int k, int most) {
        Rows rows = Rows.allocate(ROWS, most);
        IntArray meta = DeviceArrays.ints(4);
        IntArray scores = DeviceArrays.ints(Math.multiplyExact(ROWS, most));
        IntArray positions = DeviceArrays.ints(Math.multiplyExact(ROWS, k));
        IntArray slots = DeviceArrays.ints(ROWS * k);
        DevicePlan plan = new DevicePlan(device, List.of(graph(threads, rows, meta, scores, positions, slots)));
        return new State(k, most, rows, meta, scores, positions, slots, plan);
    }

    static KernelGraph graph(
            int threads, Rows rows, IntArray meta, IntArray scores, IntArray positions, IntArray slots) {
        return new KernelGraph("topk")
                .once(positions, slots)
                .always(meta, rows.visible(), rows.tables(), scores)
                .then(Call.of("select", rows.capacity(), threads, TopKKernels.LOCAL_BYTES)
                        .kernel(TopKKernels::kTopK, meta, rows.visible(), rows.tables(), scores, positions, slots))
                .results(positions, slots);
    }
}
