package dev.gyre.tornado;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.kernels.TopKKernels;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

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

    /** Arrays, and the plan that has brought them to the device. */
    private record State(TopKPlan arrays, DevicePlan plan) {}

    TornadoTopK(TornadoDevice device) {
        this.device = device;
        threads = threads(device);
    }

    /** Threads of a block that has a row for itself. */
    static int threads(TornadoDevice device) {
        int largest = device.getPhysicalDevice().getMaxThreadsPerBlock();
        return Integer.highestOneBit(Math.min(TopKKernels.MOST_BLOCK, Math.max(largest, 64)));
    }

    /** As many as all of these devices can run. */
    static int threads(List<TornadoDevice> devices) {
        return devices.stream().mapToInt(TornadoTopK::threads).min().orElseThrow();
    }

    @Override
    public void select(float[] scores, int stride, QueryRows rows, int from, int to, Selection selection) {
        int k = selection.k();
        if (state == null || state.arrays().k() != k || state.arrays().most() < rows.longest()) {
            close();
            TopKPlan arrays = new TopKPlan(ROWS, k, Rows.room(rows.longest()), threads);
            state = new State(arrays, new DevicePlan(device, List.of(arrays.graph())));
        }
        TopKPlan arrays = state.arrays();
        for (int first = from; first < to; first += ROWS) {
            int count = Math.min(ROWS, to - first);
            arrays.set(count);
            arrays.rows().set(rows, first, first + count);
            for (int i = 0; i < count; i++) {
                MemorySegment.copy(scores, (first - from + i) * stride, arrays.scores().getSegment(),
                        ValueLayout.JAVA_FLOAT, i * 4L * arrays.most(), rows.visible(first + i));
            }
            try {
                state.plan().run(0);
            } catch (RuntimeException e) {
                close(); // a plan whose arrays are not all there must not run again
                throw e;
            }
            DeviceArrays.copy(arrays.positions(), 0, selection.positions(), first * k, count * k);
            DeviceArrays.copy(arrays.slots(), 0, selection.slots(), first * k, count * k);
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
}
