package dev.gyre.benchmarks.gpu;

import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.Arrays;
import java.util.List;

/** A workload on a device: its kernels run several times within one graph, and the graph is run several times. */
final class GpuCase implements AutoCloseable {
    private static final int WARM_UP = 3;
    private static final int RUNS = 15;
    /** TornadoVM 5.2 refuses to build graphs of some 40 tasks. */
    private static final int MOST_TASKS = 15;

    private final Workload workload;
    private final DevicePlan plan;

    GpuCase(TornadoDevice device, Workload workload, int repeats) {
        this.workload = workload;
        IntArray done = DeviceArrays.ints(1);
        KernelGraph graph = new KernelGraph("timed").once(workload.resident().toArray()).always(done);
        for (int i = 0; i < repeats; i++) {
            for (int k = 0; k < workload.kernels().size(); k++) {
                graph.then(workload.kernels().get(k).named("k" + k + "r" + i));
            }
        }
        graph.results(done).onDemand(workload.results().toArray());
        plan = new DevicePlan(device, List.of(graph)).captured();
    }

    /** How often a workload fits into a graph. */
    static int most(Workload workload) {
        return MOST_TASKS / workload.kernels().size();
    }

    /**
     * Seconds of a run, without the 0.7 ms or so that a run of any graph costs the host: the difference between a graph
     * with many and one with few repetitions.
     *
     * @throws IllegalStateException if the results are wrong
     */
    static double seconds(TornadoDevice device, Workload workload) {
        int few = 1;
        int many = most(workload);
        double base;
        try (GpuCase timed = new GpuCase(device, workload, few)) {
            base = timed.median();
        }
        try (GpuCase timed = new GpuCase(device, workload, many)) {
            double all = timed.median();
            timed.check();
            return (all - base) / (many - few);
        }
    }

    private double median() {
        double[] times = new double[RUNS];
        for (int i = -WARM_UP; i < RUNS; i++) {
            long start = System.nanoTime();
            run();
            if (i >= 0) {
                times[i] = (System.nanoTime() - start) / 1e9;
            }
        }
        Arrays.sort(times);
        return times[RUNS / 2];
    }

    /** Runs the graph once. */
    void run() {
        plan.run(0);
    }

    /** Brings the results of the timed runs back and looks at them: a timing without the right answer is void. */
    void check() {
        plan.fetch(workload.results().toArray());
        String mistake = workload.mistake();
        if (!mistake.isEmpty()) {
            throw new IllegalStateException(workload.name() + ": " + mistake);
        }
    }

    @Override
    public void close() {
        plan.close();
    }
}
