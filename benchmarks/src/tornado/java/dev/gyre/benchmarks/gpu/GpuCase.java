package dev.gyre.benchmarks.gpu;

import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.Arrays;
import java.util.List;

/** A workload on a device: its kernels run several times within one graph, and the graph is run several times. */
final class GpuCase implements AutoCloseable {
    /** Until the JVM has compiled TornadoVM's part of a run, which takes three times as long before. */
    private static final double WARM_UP_SECONDS = 0.5;
    private static final int RUNS = 51;
    /** What TornadoVM does on the host for a run grows faster than the number of tasks. */
    private static final int MOST_TASKS = 8;
    private static final int POISON_BLOCKS = 1024;
    private static final int POISON_THREADS = 256;
    /** Bits of a NaN; no position and no slot either. */
    private static final int NAN = 0x7fc00000;

    private final Workload workload;
    private final DevicePlan plan;

    GpuCase(TornadoDevice device, Workload workload, int repeats) {
        this.workload = workload;
        IntArray done = DeviceArrays.ints(1);
        KernelGraph graph = new KernelGraph("timed").once(workload.resident().toArray()).always(done);
        for (int i = 0; i < workload.results().size(); i++) {
            Object result = workload.results().get(i);
            Call.Builder poison = Call.of("poison" + i, POISON_BLOCKS, POISON_THREADS, 0);
            if (result instanceof IntArray ints) {
                IntArray size = IntArray.fromElements(ints.getSize());
                graph.once(size).then(poison.kernel(GpuCase::kPoisonInts, size, ints));
            } else if (result instanceof FloatArray floats) {
                IntArray size = IntArray.fromElements(floats.getSize());
                graph.once(size).then(poison.kernel(GpuCase::kPoisonFloats, size, floats));
            }
        }
        for (int i = 0; i < repeats; i++) {
            for (int k = 0; k < workload.kernels().size(); k++) {
                graph.then(workload.kernels().get(k).named("k" + k + "r" + i));
            }
        }
        graph.results(done).onDemand(workload.results().toArray());
        plan = new DevicePlan(device, List.of(graph)).captured();
    }

    /**
     * Poison comes from a kernel, in every run: TornadoVM 5.2 does not send what a later kernel only writes, and the memory
     * of a plan may hold another one's right answers.
     */
    private static void kPoisonInts(KernelContext context, IntArray size, IntArray results) {
        for (int i = context.globalIdx; i < size.get(0); i += POISON_BLOCKS * POISON_THREADS) {
            results.set(i, NAN);
        }
    }

    private static void kPoisonFloats(KernelContext context, IntArray size, FloatArray results) {
        for (int i = context.globalIdx; i < size.get(0); i += POISON_BLOCKS * POISON_THREADS) {
            results.set(i, Float.intBitsToFloat(NAN));
        }
    }

    /** How often a workload fits into a graph. */
    static int most(Workload workload) {
        return MOST_TASKS / workload.kernels().size();
    }

    /**
     * Seconds of a run, without what a run of any graph costs the host: the difference between a graph with many and one
     * with few repetitions.
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
        return median(this::run);
    }

    /** Median seconds of several runs, after some that do not count. */
    static double median(Runnable run) {
        long begin = System.nanoTime();
        while ((System.nanoTime() - begin) / 1e9 < WARM_UP_SECONDS) {
            run.run();
        }
        double[] times = new double[RUNS];
        for (int i = 0; i < RUNS; i++) {
            long start = System.nanoTime();
            run.run();
            times[i] = (System.nanoTime() - start) / 1e9;
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
