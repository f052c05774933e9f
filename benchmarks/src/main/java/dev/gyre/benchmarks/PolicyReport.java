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
import org.openjdk.jmh.runner.options.Options;
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
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Makes {@code benchmarks/results/policies.md}: what selecting costs in a decode step, exactly and by the policies that
 * make it cheaper, at growing contexts. All of it is measured in {@value #ROUNDS} rounds, one after the other, each in
 * processes of its own where the policies take turns; shown are the median of all turns and how far they lie apart.
 */
public final class PolicyReport {
    private static final List<String> POLICIES = List.of("indexer", "hisa", "misa");
    private static final String[] DTYPES = {"f32", "bf16"};
    private static final String[] CONTEXTS = {"8192", "16384", "32768", "65536", "131072", "163840"};
    private static final int ROUNDS = 3;
    /** Of each policy in a process; a turn takes {@link #TURN}. */
    private static final int WARMUP_TURNS = 4;
    private static final int TURNS = 5;
    /** From how many times as fast on a policy pays: less may be noise. */
    private static final double WORTH_IT = 1.2;
    private static final TimeValue TURN = TimeValue.milliseconds(250);

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
        String report = report(contexts);
        Files.writeString(folder.resolve("policies.md"), report);
        System.out.println(report);
    }

    private static String report(String[] contexts) throws RunnerException {
        Map<String, double[]> times = times(contexts);
        StringBuilder text = new StringBuilder("# Selecting 2048 tokens in a decode step\n\n")
                .append(Environment.describe())
                .append(String.format(Locale.ROOT, """

                Made by `benchmarks/run-policies`. Index scores and top-k of one row, 64 index heads x 128, policies
                with their default parameters. Times are medians of %d turns of %d ms, with the 10th and the 90th
                percentile behind them: %d rounds, in each of which the policies take turns in one process. Where the
                percentiles lie far apart, something else ran. "Faster" is the median of the ratios of neighbouring
                turns. Selections up to 16K tokens are checked against the plain Java implementation. Operations are
                those of the policy's cost formula, as a share of the exact indexer's. Recall is the share of the exact
                selection that was found, on random keys of which 300 in a row have a direction in common: it says that
                the policy works, not what it loses on the keys of a model.

                HISA scores the means of all blocks of 128 tokens and then the tokens of 64 blocks, so that its work
                hardly grows with the context; up to 8192 tokens these are all blocks, and it is the exact indexer. MISA
                scores all tokens with 8 of the 64 heads: an eighth of the work, for which all keys are read still.

                | keys | context | exact, ms | HISA, ms | faster | operations | recall | \
                MISA, ms | faster | operations | recall |
                |---|---|---|---|---|---|---|---|---|---|---|
                """, ROUNDS * TURNS, TURN.getTime(), ROUNDS));
        for (String dtype : DTYPES) {
            for (String context : contexts) {
                row(text, dtype, context, times);
            }
        }
        text.append('\n');
        for (String policy : POLICIES.subList(1, POLICIES.size())) {
            text.append(payoff(policy, contexts, times)).append('\n');
        }
        return text.toString();
    }

    /** From which context on a policy pays, whatever the keys are; contexts ascend. */
    private static String payoff(String policy, String[] contexts, Map<String, double[]> times) {
        int from = contexts.length;
        while (from > 0 && leastRatio(policy, contexts[from - 1], times) >= WORTH_IT) {
            from--;
        }
        return from == contexts.length
                ? policy + " does not pay at the longest context."
                : String.format(Locale.ROOT, "%s pays from %s tokens on: there and at every longer context it is at "
                        + "least %.1f times as fast.", policy, contexts[from], WORTH_IT);
    }

    private static double leastRatio(String policy, String context, Map<String, double[]> times) {
        return Arrays.stream(DTYPES)
                .mapToDouble(dtype -> quantile(
                        ratios(times.get(key("indexer", dtype, context)), times.get(key(policy, dtype, context))), 0.5))
                .min()
                .orElseThrow();
    }

    private static void row(StringBuilder text, String dtype, String context, Map<String, double[]> times) {
        double[] recalls = PolicySelection.recalls(String.join("+", POLICIES), dtype, Integer.parseInt(context));
        double[] exact = times.get(key("indexer", dtype, context));
        text.append(String.format(Locale.ROOT, "| %s | %s | %s |", dtype, context, shown(exact)));
        for (int i = 1; i < POLICIES.size(); i++) {
            String policy = POLICIES.get(i);
            double[] measured = times.get(key(policy, dtype, context));
            double share = operations(policy, dtype, context) / operations("indexer", dtype, context);
            text.append(String.format(Locale.ROOT, " %s | %.2f x | %.0f%% | %.1f%% |",
                    shown(measured), quantile(ratios(exact, measured), 0.5), 100 * share, 100 * recalls[i]));
        }
        text.append('\n');
    }

    /** How much longer each turn took than the other's turn beside it. */
    private static double[] ratios(double[] turns, double[] others) {
        return IntStream.range(0, turns.length).mapToDouble(i -> turns[i] / others[i]).toArray();
    }

    private static String shown(double[] times) {
        return String.format(Locale.ROOT, "%.3f (%.3f to %.3f)",
                quantile(times, 0.5), quantile(times, 0.1), quantile(times, 0.9));
    }

    /** The value below which a share of the others lie. */
    private static double quantile(double[] values, double share) {
        return Arrays.stream(values).sorted().toArray()[(int) Math.round(share * (values.length - 1))];
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

    /** Milliseconds of each turn, by policy, dtype and context. */
    private static Map<String, double[]> times(String[] contexts) throws RunnerException {
        Map<String, double[]> times = new LinkedHashMap<>();
        Options round = new OptionsBuilder()
                .include("PolicySelection")
                .mode(Mode.AverageTime)
                .timeUnit(TimeUnit.MILLISECONDS)
                .forks(1)
                .warmupIterations(WARMUP_TURNS * POLICIES.size())
                .warmupTime(TURN)
                .measurementIterations(TURNS * POLICIES.size())
                .measurementTime(TURN)
                .param("context", contexts)
                .param("dtype", DTYPES)
                .param("policies", String.join("+", POLICIES))
                .build();
        for (int i = 0; i < ROUNDS; i++) {
            for (RunResult result : new Runner(round).run()) {
                double[] turns = result.getBenchmarkResults().stream()
                        .flatMap(fork -> fork.getIterationResults().stream())
                        .mapToDouble(turn -> turn.getPrimaryResult().getScore())
                        .toArray();
                for (int turn = 0; turn < turns.length; turn++) {
                    String key = key(POLICIES.get(turn % POLICIES.size()), result.getParams().getParam("dtype"),
                            result.getParams().getParam("context"));
                    times.merge(key, new double[] {turns[turn]}, PolicyReport::joined);
                }
            }
        }
        return times;
    }

    private static double[] joined(double[] one, double[] other) {
        return DoubleStream.concat(Arrays.stream(one), Arrays.stream(other)).toArray();
    }
}
