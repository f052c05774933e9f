package dev.gyre.benchmarks.gpu;

import dev.gyre.tornado.graph.Settings;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

import java.util.concurrent.TimeUnit;

/**
 * The workloads under JMH: a call is one run of a captured graph that holds the workload {@code repeats} times, the
 * host's part included; the results are checked after each trial. Start the JVM as {@code benchmarks/run-gpu} does.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
public class GpuKernels {
    /** A name of {@link Workloads}. */
    @Param({"scores-128x32k", "scores-prompt", "topk-128x32k", "topk-1x128k", "mla-1", "mla-128", "mla-prompt"})
    private String workload;

    /** How often the workload runs in a call; the difference of two values is the time without the host's part. */
    @Param({"1", "5"})
    private int repeats;

    private GpuCase timed;

    @Setup(Level.Trial)
    public void start() {
        Settings.apply();
        timed = new GpuCase(
                TornadoRuntimeProvider.getTornadoRuntime().getDefaultDevice(), Workloads.named(workload), repeats);
    }

    @Benchmark
    public void run() {
        timed.run();
    }

    @TearDown(Level.Trial)
    public void end() {
        try {
            timed.check();
        } finally {
            timed.close();
        }
    }
}
