package dev.gyre.benchmarks.gpu;

import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.Arrays;
import java.util.List;

/**
 * One measured case: its kernels run several times within a graph, since a run of a graph costs the host about 0.7 ms
 * whatever is in it, and the graph is run several times. The answer is checked by who owns the arrays.
 */
final class GpuCase implements AutoCloseable {
    private static final int WARM_UP = 3;
    private static final int RUNS = 9;

    /** A kernel of the case, to be given its name in the graph. */
    interface Kernel {
        Call named(String id);
    }

    private final int repeats;
    private final List<Object> results;
    private final DevicePlan plan;

    /**
     * @param resident arrays that are sent once
     * @param results arrays that come back when {@link #fetch} is called
     */
    GpuCase(
            TornadoDevice device,
            String name,
            int repeats,
            List<Object> resident,
            List<Object> results,
            Kernel... kernels) {
        this.repeats = repeats;
        IntArray done = DeviceArrays.ints(1);
        KernelGraph timed = new KernelGraph(name).once(resident.toArray()).always(done);
        for (int i = 0; i < repeats; i++) {
            for (int k = 0; k < kernels.length; k++) {
                timed.then(kernels[k].named("k" + k + "r" + i));
            }
        }
        timed.results(done).onDemand(results.toArray());
        this.results = results;
        plan = new DevicePlan(device, List.of(timed)).captured();
    }

    /** Median seconds of one run of all kernels. */
    double seconds() {
        double[] times = new double[RUNS];
        for (int i = -WARM_UP; i < RUNS; i++) {
            long start = System.nanoTime();
            plan.run(0);
            if (i >= 0) {
                times[i] = (System.nanoTime() - start) / 1e9 / repeats;
            }
        }
        Arrays.sort(times);
        return times[RUNS / 2];
    }

    /** Brings the results of the timed runs back. */
    void fetch() {
        plan.fetch(results.toArray());
    }

    @Override
    public void close() {
        plan.close();
    }
}
