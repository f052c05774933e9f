package dev.gyre.benchmarks;

import dev.gyre.attention.simd.Lanes;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/**
 * Makes {@code benchmarks/results/cpu.md} and its plot: every operation beside the machine's ceilings, which are
 * measured before, between and after. Times are medians of the iterations, since other tenants of a machine only ever
 * add.
 */
public final class CpuReport {
    private final StringBuilder text = new StringBuilder();
    private final List<Double> fmaTimes = new ArrayList<>();
    private final List<Double> copyTimes = new ArrayList<>();

    private CpuReport() {}

    /** {@code [folder]}: where the report goes, {@code benchmarks/results} by default. */
    public static void main(String[] args) throws RunnerException, IOException {
        if (args.length > 1 || args.length == 1 && args[0].startsWith("-")) {
            System.err.println("usage: benchmarks/run-cpu [FOLDER]; a single benchmark runs with "
                    + "java -cp benchmarks/target/benchmarks.jar org.openjdk.jmh.Main PATTERN");
            System.exit(2);
        }
        Path folder = Path.of(args.length > 0 ? args[0] : "benchmarks/results");
        Files.createDirectories(folder);
        String report = new CpuReport().measure(folder);
        Files.writeString(folder.resolve("cpu.md"), report);
        System.out.println(report);
    }

    private String measure(Path folder) throws RunnerException, IOException {
        ceilings();
        Collection<RunResult> attention = run("IndexScoring|SparseAttention", "vector");
        ceilings();
        Collection<RunResult> others = run("TopKSelection|Linear", "vector");
        ceilings();
        List<RunResult> reference = new ArrayList<>(
                run("IndexScoring|SparseAttention", "reference", "rows=1", "dtype=f32"));
        reference.addAll(run("TopKSelection", "reference", "scoreKind=normal"));
        reference.addAll(run("Linear", "reference", "tokens=1", "dtype=F8_E4M3", "shape=1536x7168"));

        double flops = 2.0 * Lanes.COUNT * Ceilings.ACCUMULATORS * Ceilings.STEPS * Inputs.threads();
        double peak = flops / Collections.min(fmaTimes) * 1e6;
        double copy = 2.0 * Ceilings.BYTES / Collections.min(copyTimes) * 1e6;
        text.append("# CPU\n\n").append(Environment.describe());
        text.append(String.format(Locale.ROOT, """

                Made by `benchmarks/run-cpu`. Ceilings, measured before, between and after: FMA peak %.0f GFLOP/s, copy
                bandwidth %.1f GB/s (bytes read plus bytes written). A ceiling is its best iteration, an operation its median.

                | operation | ms | GFLOP/s | of FMA peak | GB/s | of copy bandwidth |
                |---|---|---|---|---|---|
                """, peak / 1e9, copy / 1e9));
        attention.forEach(result -> row(result, peak, copy));
        others.forEach(result -> row(result, peak, copy));
        reference.forEach(result -> row(result, peak, copy));
        text.append("""

                Top-k's `reference` sorts the whole row. Its `zeros` rows are half exact zeros, with the boundary among them.
                """);
        text.append(new ContextSweep(folder).measure());
        return text.toString();
    }

    private void ceilings() throws RunnerException {
        for (RunResult result : run("Ceilings", null)) {
            boolean fma = result.getParams().getBenchmark().endsWith("fmaPeak");
            (fma ? fmaTimes : copyTimes).addAll(iterations(result));
        }
    }

    private static Collection<RunResult> run(String pattern, String implementation, String... params)
            throws RunnerException {
        ChainedOptionsBuilder options = new OptionsBuilder()
                .include(pattern)
                .mode(Mode.AverageTime)
                .timeUnit(TimeUnit.MICROSECONDS)
                .forks(1)
                .warmupIterations(4)
                .warmupTime(TimeValue.seconds(1))
                .measurementIterations(4)
                .measurementTime(TimeValue.seconds(1));
        if (implementation != null) {
            options.param("implementation", implementation);
        }
        Arrays.stream(params).map(param -> param.split("=")).forEach(param -> options.param(param[0], param[1]));
        return new Runner(options.build()).run();
    }

    private static List<Double> iterations(RunResult result) {
        return result.getBenchmarkResults().stream()
                .flatMap(fork -> fork.getIterationResults().stream())
                .map(iteration -> iteration.getPrimaryResult().getScore())
                .toList();
    }

    private static double median(List<Double> values) {
        List<Double> sorted = values.stream().sorted().toList();
        return sorted.get(sorted.size() / 2);
    }

    private void row(RunResult result, double peak, double copy) {
        Work work = Work.of(result.getParams());
        double micros = median(iterations(result));
        double flops = work.flops() / micros * 1e6;
        double bytes = work.bytes() / micros * 1e6;
        text.append(String.format(Locale.ROOT, "| %s | %.3f | %s | %s | %s | %s |%n",
                work.name(), micros / 1e3,
                work.flops() == 0 ? "" : String.format(Locale.ROOT, "%.1f", flops / 1e9),
                work.flops() == 0 ? "" : String.format(Locale.ROOT, "%.0f%%", 100 * flops / peak),
                work.bytes() == 0 ? "" : String.format(Locale.ROOT, "%.1f", bytes / 1e9),
                work.bytes() == 0 ? "" : String.format(Locale.ROOT, "%.0f%%", 100 * bytes / copy)));
    }
}
