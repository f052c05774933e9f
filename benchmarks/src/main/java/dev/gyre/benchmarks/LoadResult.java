package dev.gyre.benchmarks;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.PrintWriter;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * The figures of a load, named and defined as SGLang's {@code bench_serving} does: latencies begin when a request is
 * sent, not when it began to wait for {@code --max-concurrency}; TPOT is (E2E - TTFT) / (tokens - 1) of a request; ITL
 * is over all tokens of all requests; concurrency is the sum of all latencies over the duration.
 *
 * @param answers those to the load itself
 * @param repeated those to requests of the load that were sent again for the sake of comparison
 * @param compared how many answers were compared with another one
 * @param seconds from the first request to the last answer
 * @param cpuSeconds what the load generator itself took of the processors in that time
 */
record LoadResult(
        List<LoadAnswer> answers, List<LoadAnswer> repeated, int compared, double seconds, double cpuSeconds) {

    /** Of many milliseconds. */
    record Spread(double mean, double median, double std, double p90, double p95, double p99, double max) {
        static Spread of(double[] values) {
            if (values.length == 0) {
                return new Spread(0, 0, 0, 0, 0, 0, 0);
            }
            double[] sorted = values.clone();
            Arrays.sort(sorted);
            double mean = Arrays.stream(sorted).average().orElse(0);
            double variance = Arrays.stream(sorted).map(v -> (v - mean) * (v - mean)).average().orElse(0);
            return new Spread(mean, percentile(sorted, 50), Math.sqrt(variance), percentile(sorted, 90),
                    percentile(sorted, 95), percentile(sorted, 99), sorted[sorted.length - 1]);
        }

        /** As NumPy has it: linear between the two values that are nearest. */
        static double percentile(double[] sorted, double percent) {
            double at = percent / 100 * (sorted.length - 1);
            int below = (int) at;
            double above = sorted[Math.min(below + 1, sorted.length - 1)];
            return sorted[below] + (at - below) * (above - sorted[below]);
        }

        /** Adds {@code mean_NAME_ms} and so on. */
        void put(ObjectNode json, String name) {
            json.put("mean_" + name + "_ms", mean).put("median_" + name + "_ms", median);
            json.put("std_" + name + "_ms", std).put("p90_" + name + "_ms", p90);
            json.put("p95_" + name + "_ms", p95).put("p99_" + name + "_ms", p99);
            json.put("max_" + name + "_ms", max);
        }

        void print(PrintWriter out, String title, String name) {
            rule(out, title, '-');
            line(out, "Mean " + name + " (ms):", mean);
            line(out, "Median " + name + " (ms):", median);
            line(out, "P90 " + name + " (ms):", p90);
            line(out, "P95 " + name + " (ms):", p95);
            line(out, "P99 " + name + " (ms):", p99);
            line(out, "Max " + name + " (ms):", max);
        }
    }

    private List<LoadAnswer> good() {
        return answers.stream().filter(LoadAnswer::ok).toList();
    }

    List<String> errors() {
        return Stream.concat(answers.stream(), repeated.stream()).filter(a -> !a.ok()).map(LoadAnswer::error).toList();
    }

    private long inputTokens() {
        return good().stream().mapToLong(answer -> answer.request().prompt().length).sum();
    }

    private long outputTokens() {
        return good().stream().mapToLong(LoadAnswer::tokens).sum();
    }

    private double concurrency() {
        return good().stream().mapToDouble(LoadAnswer::latency).sum() * 1e-9 / seconds;
    }

    private Spread latency() {
        return Spread.of(good().stream().mapToDouble(answer -> answer.latency() * 1e-6).toArray());
    }

    private Spread firstToken() {
        return Spread.of(good().stream().mapToDouble(answer -> answer.firstToken() * 1e-6).toArray());
    }

    private Spread perToken() {
        return Spread.of(good().stream()
                .filter(answer -> answer.tokens() > 1)
                .mapToDouble(answer -> (answer.latency() - answer.firstToken()) * 1e-6 / (answer.tokens() - 1))
                .toArray());
    }

    private Spread betweenTokens() {
        return Spread.of(good().stream().flatMapToDouble(a -> Arrays.stream(a.gaps())).map(g -> g * 1e-6).toArray());
    }

    /** SGLang's fields, and a few of our own. */
    ObjectNode json() {
        ObjectNode json = new ObjectMapper().createObjectNode();
        json.put("duration", seconds).put("completed", good().size()).put("failed", errors().size());
        json.put("compared", compared).put("client_cpu_seconds", cpuSeconds);
        json.put("total_input_tokens", inputTokens()).put("total_output_tokens", outputTokens());
        json.put("request_throughput", good().size() / seconds).put("input_throughput", inputTokens() / seconds);
        json.put("output_throughput", outputTokens() / seconds);
        json.put("total_throughput", (inputTokens() + outputTokens()) / seconds);
        latency().put(json, "e2e_latency");
        firstToken().put(json, "ttft");
        perToken().put(json, "tpot");
        betweenTokens().put(json, "itl");
        return json.put("concurrency", concurrency());
    }

    /** SGLang's table. */
    void print(PrintWriter out, String backend, double rate, int maxConcurrency) {
        out.println();
        rule(out, " Serving Benchmark Result ", '=');
        line(out, "Backend:", backend);
        line(out, "Traffic request rate:", Double.isInfinite(rate) ? "inf" : Double.toString(rate));
        line(out, "Max request concurrency:", maxConcurrency == 0 ? "not set" : Integer.toString(maxConcurrency));
        line(out, "Successful requests:", Integer.toString(good().size()));
        List<String> errors = errors();
        line(out, "Failed requests:", Integer.toString(errors.size()));
        line(out, "Answers compared with another:", Integer.toString(compared));
        line(out, "Benchmark duration (s):", seconds);
        line(out, "Load generator's CPU time (s):", cpuSeconds);
        line(out, "Total input tokens:", Long.toString(inputTokens()));
        line(out, "Total generated tokens:", Long.toString(outputTokens()));
        line(out, "Request throughput (req/s):", good().size() / seconds);
        line(out, "Input token throughput (tok/s):", inputTokens() / seconds);
        line(out, "Output token throughput (tok/s):", outputTokens() / seconds);
        line(out, "Total token throughput (tok/s):", (inputTokens() + outputTokens()) / seconds);
        line(out, "Concurrency:", concurrency());
        if (!good().isEmpty()) {
            latency().print(out, "End-to-End Latency", "E2E Latency");
            firstToken().print(out, "Time to First Token", "TTFT");
            perToken().print(out, "Time per Output Token (excl. 1st token)", "TPOT");
            betweenTokens().print(out, "Inter-Token Latency", "ITL");
        }
        out.println("=".repeat(50));
        if (!errors.isEmpty()) {
            out.println("First error: " + errors.getFirst());
        }
    }

    static void rule(PrintWriter out, String title, char fill) {
        String filler = Character.toString(fill);
        int left = (50 - title.length()) / 2;
        out.println(filler.repeat(left) + title + filler.repeat(50 - title.length() - left));
    }

    static void line(PrintWriter out, String name, String value) {
        out.printf(Locale.ROOT, "%-40s %-10s%n", name, value);
    }

    static void line(PrintWriter out, String name, double value) {
        line(out, name, String.format(Locale.ROOT, "%.2f", value));
    }
}
