package dev.gyre.benchmarks;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Makes {@code benchmarks/results/serving.md} of the lines that {@link ServingLoad} wrote. Arguments: those lines'
 * file, the report's, the command that started the server, and the machine's load average before that.
 * {@code benchmarks/run-serving} gives them.
 */
public final class ServingReport {
    private static final String ALONE = "1 client";
    private static final String TOGETHER = "16 concurrent";
    private static final String PROBE = "probe";

    private ServingReport() {}

    /** Writes the report. */
    public static void main(String[] args) throws IOException {
        Map<String, JsonNode> lines = new LinkedHashMap<>();
        ObjectMapper mapper = new ObjectMapper();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            JsonNode figures = mapper.readTree(line);
            lines.merge(figures.path("tag").asText(), figures, (one, other) -> // other tenants only ever take away
                    number(one, "output_throughput") < number(other, "output_throughput") ? other : one);
        }
        Files.writeString(Path.of(args[1]), text(lines, args[2], args[3]));
    }

    private static String text(Map<String, JsonNode> lines, String server, String load) {
        StringBuilder text = new StringBuilder("# Serving\n\n").append(Environment.describe());
        text.append("- load average before: ").append(load).append("\n").append("""

                Made by `benchmarks/run-serving`: server and load generator share the processors, and every answer is
                checked for its length, some of them against the same request alone. Loads that were run three times, in
                turns, show the best.

                ```
                """);
        text.append(server).append('\n');
        lines.forEach((tag, line) -> text.append("benchmarks/run-serving ")
                .append(line.path("arguments").asText().replaceAll("--base-url \\S+ | --output-file.*", ""))
                .append('\n'));
        text.append("""
                ```

                | load | req/s | output tok/s | TTFT mean/p99 ms | ITL mean/p99 ms | E2E p50/p99 ms | generator's CPU |
                |---|---|---|---|---|---|---|
                """);
        lines.forEach((tag, line) -> {
            if (!tag.equals(PROBE)) {
                text.append(row(tag, line));
            }
        });
        text.append(ratio(lines));
        if (lines.containsKey(PROBE)) {
            text.append(probe(lines.get(PROBE)));
        }
        return text.toString();
    }

    private static String row(String tag, JsonNode line) {
        return String.format(Locale.ROOT,
                "| %s | %.2f | %.0f | %.1f / %.1f | %.2f / %.2f | %.0f / %.0f | %.0f%% of a core |%n",
                tag, number(line, "request_throughput"), number(line, "output_throughput"),
                number(line, "mean_ttft_ms"), number(line, "p99_ttft_ms"),
                number(line, "mean_itl_ms"), number(line, "p99_itl_ms"),
                number(line, "median_e2e_latency_ms"), number(line, "p99_e2e_latency_ms"),
                100 * number(line, "client_cpu_seconds") / number(line, "duration"));
    }

    private static String ratio(Map<String, JsonNode> lines) {
        if (!lines.containsKey(ALONE) || !lines.containsKey(TOGETHER)) {
            return "";
        }
        return String.format(Locale.ROOT,
                "%n16 concurrent decodes make %.1f times as many tokens per second as one alone.%n",
                number(lines.get(TOGETHER), "output_throughput") / number(lines.get(ALONE), "output_throughput"));
    }

    private static String probe(JsonNode line) {
        double alone = number(line, "mean_short_alone_ttft_ms");
        double during = number(line, "mean_short_during_prefill_ttft_ms");
        return String.format(Locale.ROOT, """

                ## Short requests during a long prefill

                Milliseconds to the first token of %d-token requests, one at a time, by themselves and while a prompt of
                %d tokens is read:

                | | mean | median | p99 |
                |---|---|---|---|
                | short, alone | %.1f | %.1f | %.1f |
                | short, during the prefill (%d requests) | %.1f | %.1f | %.1f |
                | long, alone | %.1f | %.1f | %.1f |
                | long, with short ones beside it | %.1f | %.1f | %.1f |

                A short request waits %.1f times as long as alone, and %.0f%% of what it would wait behind the whole
                prompt.
                """,
                line.path("short_len").intValue(), line.path("long_len").intValue(),
                alone, number(line, "median_short_alone_ttft_ms"), number(line, "p99_short_alone_ttft_ms"),
                line.path("samples").intValue(),
                during, number(line, "median_short_during_prefill_ttft_ms"),
                number(line, "p99_short_during_prefill_ttft_ms"),
                number(line, "mean_long_alone_ttft_ms"), number(line, "median_long_alone_ttft_ms"),
                number(line, "p99_long_alone_ttft_ms"),
                number(line, "mean_long_with_short_ttft_ms"), number(line, "median_long_with_short_ttft_ms"),
                number(line, "p99_long_with_short_ttft_ms"),
                during / alone, 100 * during / number(line, "mean_long_alone_ttft_ms"));
    }

    private static double number(JsonNode line, String field) {
        return line.path(field).asDouble(Double.NaN);
    }
}
