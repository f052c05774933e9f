package dev.gyre.launcher;

import dev.gyre.attention.EngineException;
import dev.gyre.model.Model;
import dev.gyre.model.generate.Throughput;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** {@code engine bench}. */
@Command(name = "bench", description = "Measures prefill and decode, in tokens per second, by depth and batch.")
final class BenchCommand implements Runnable {
    /** How the results are printed. */
    enum Format {
        MD,
        CSV,
        JSON
    }

    @Option(names = "--prefill", paramLabel = "N", description = "prompt tokens a sequence; 0 for none (default: 512)")
    private int prefill = 512;

    @Option(names = "--decode", paramLabel = "N", description = "new tokens a sequence; 0 for none (default: 64)")
    private int decode = 64;

    @Option(
            names = "--depth",
            paramLabel = "D",
            defaultValue = "0",
            description = "tokens that are cached already, one or several: 0,4096 (default: 0)")
    private String depths;

    @Option(
            names = "--batch",
            paramLabel = "B",
            defaultValue = "1",
            description = "sequences at once, one or several: 1,8 (default: 1)")
    private String batches;

    @Option(names = "--repetitions", paramLabel = "R", description = "measured after one warm-up (default: 3)")
    private int repetitions = 3;

    @Option(names = "--format", paramLabel = "F", description = "md, csv or json (default: md)")
    private Format format = Format.MD;

    @Mixin
    private JsonFlag json;

    @Mixin
    private EngineFlags flags;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        if (prefill < 0 || decode < 0 || prefill + (long) decode == 0) {
            throw EngineException.usage("--prefill and --decode must be at least 0, and one of them above.");
        }
        if (repetitions < 1) {
            throw EngineException.usage("--repetitions must be at least 1, not " + repetitions + ".");
        }
        List<Throughput.Result> results = new ArrayList<>();
        try (Model model = flags.open()) {
            for (int depth : Ids.parse(depths, "--depth")) {
                for (int batch : Ids.parse(batches, "--batch")) {
                    results.add(Throughput.run(model, depth, batch, prefill, decode, repetitions));
                }
            }
            print(model, results);
        }
    }

    private void print(Model model, List<Throughput.Result> results) {
        PrintWriter out = spec.commandLine().getOut();
        Map<String, Object> machine = Machine.describe();
        machine.put("threads", model.options().threads());
        machine.put("model", model.where());
        machine.put("attention_backend", model.attentionBackend());
        machine.put("implementations", model.implementations().toString());
        machine.put("kv_cache_dtype", model.cacheDtype().label());
        List<Map<String, Object>> rows = results.stream().map(Throughput.Result::fields).toList();
        if (json.wanted() || format == Format.JSON) {
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("machine", machine);
            answer.put("results", rows);
            JsonFlag.print(out, answer);
            return;
        }
        boolean markdown = format == Format.MD;
        machine.forEach((name, value) -> spec.commandLine().getErr().println(name + ": " + value));
        String between = markdown ? " | " : ",";
        String edge = markdown ? "|" : "";
        String pad = markdown ? " " : "";
        out.println(edge + pad + String.join(between, rows.getFirst().keySet()) + pad + edge);
        if (markdown) {
            out.println("|" + "---|".repeat(rows.getFirst().size()));
        }
        for (Map<String, Object> row : rows) {
            out.println(edge + pad + String.join(between, row.values().stream().map(BenchCommand::shown).toList())
                    + pad + edge);
        }
    }

    private static String shown(Object value) {
        return value instanceof Double number ? String.format(Locale.ROOT, "%.1f", number) : value.toString();
    }
}
