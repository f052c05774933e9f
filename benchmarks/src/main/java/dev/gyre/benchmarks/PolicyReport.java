package dev.gyre.benchmarks;

import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.policy.HostOperations;
import dev.gyre.attention.policy.IndexSharing;
import dev.gyre.attention.policy.PolicyContext;
import dev.gyre.attention.policy.SelectionCost;
import dev.gyre.attention.policy.SelectionPolicies;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Makes {@code benchmarks/results/policies.md}: what selecting costs in a decode step, exactly and by the policies that
 * make it cheaper, at growing contexts.
 */
public final class PolicyReport {
    private static final List<String> POLICIES = List.of("indexer", "hisa", "misa");
    private static final String[] DTYPES = {"f32", "bf16"};
    private static final String[] CONTEXTS = {"8192", "16384", "32768", "65536", "131072", "163840"};

    private PolicyReport() {}

    /** {@code [folder [context ...]]}: where the report goes, {@code benchmarks/results} by default, and for what. */
    public static void main(String[] args) throws RunnerException, IOException {
        String[] contexts = args.length > 1 ? Arrays.copyOfRange(args, 1, args.length) : CONTEXTS;
        if (!Stream.of(contexts).allMatch(context -> context.matches("[1-9]\\d{3,6}"))) {
            System.err.println("usage: benchmarks/run-policies [FOLDER [CONTEXT ...]]");
            System.exit(2);
        }
        Path folder = Path.of(args.length > 0 ? args[0] : "benchmarks/results");
        Files.createDirectories(folder);
        String report = measure(contexts);
        Files.writeString(folder.resolve("policies.md"), report);
        System.out.println(report);
    }

    private static String measure(String[] contexts) throws RunnerException {
        Map<String, Double> times = times(contexts);
        StringBuilder text = new StringBuilder("# Selecting 2048 tokens in a decode step\n\n")
                .append(Environment.describe())
                .append("""

                Made by `benchmarks/run-policies`. Index scores and top-k of one row, 64 index heads x 128, policies with their
                default parameters; medians of JMH's iterations. Selections up to 16K tokens are checked against the plain
                Java implementation. Operations are those of the policy's cost formula, as a share of the exact indexer's.
                Recall is the share of the exact selection that was found, on random keys of which 300 in a row have a direction
                in common: it says that the policy works, not what it loses on the keys of a model.

                | keys | context | exact, ms | HISA, ms | faster | operations | recall | MISA, ms | faster | operations | recall |
                |---|---|---|---|---|---|---|---|---|---|---|
                """);
        for (String dtype : DTYPES) {
            for (String context : contexts) {
                double exact = times.get(key("indexer", dtype, context));
                text.append(String.format(Locale.ROOT, "| %s | %s | %.3f |", dtype, context, exact));
                for (String policy : POLICIES.subList(1, POLICIES.size())) {
                    double time = times.get(key(policy, dtype, context));
                    double share = operations(policy, dtype, context) / operations("indexer", dtype, context);
                    double recall = PolicySelection.recall(policy, dtype, Integer.parseInt(context));
                    text.append(String.format(Locale.ROOT, " %.3f | %.2f x | %.0f%% | %.1f%% |",
                            time, exact / time, 100 * share, 100 * recall));
                }
                text.append('\n');
            }
        }
        return text.toString();
    }

    private static String key(String policy, String dtype, String context) {
        return policy + " " + dtype + " " + context;
    }

    private static double operations(String policy, String dtype, String context) {
        PolicyContext shapes = new PolicyContext(
                null,
                null,
                new HostOperations(null, null, null),
                PolicySelection.shape(CacheDtype.of(dtype)),
                IndexSharing.none(1),
                1);
        SelectionCost cost = SelectionPolicies.create(policy, shapes).cost(Integer.parseInt(context));
        return cost.selectOperations();
    }

    /** Milliseconds by policy, dtype and context. */
    private static Map<String, Double> times(String[] contexts) throws RunnerException {
        Map<String, Double> times = new LinkedHashMap<>();
        for (RunResult result : new Runner(new OptionsBuilder()
                        .include("PolicySelection")
                        .mode(Mode.AverageTime)
                        .timeUnit(TimeUnit.MILLISECONDS)
                        .forks(1)
                        .warmupIterations(3)
                        .warmupTime(TimeValue.seconds(1))
                        .measurementIterations(5)
                        .measurementTime(TimeValue.seconds(1))
                        .param("context", contexts)
                        .param("dtype", DTYPES)
                        .param("policy", POLICIES.toArray(String[]::new))
                        .build())
                .run()) {
            double[] iterations = result.getBenchmarkResults().stream()
                    .flatMap(fork -> fork.getIterationResults().stream())
                    .mapToDouble(iteration -> iteration.getPrimaryResult().getScore())
                    .sorted()
                    .toArray();
            String key = key(result.getParams().getParam("policy"), result.getParams().getParam("dtype"),
                    result.getParams().getParam("context"));
            times.put(key, iterations[iterations.length / 2]);
        }
        return times;
    }
}
