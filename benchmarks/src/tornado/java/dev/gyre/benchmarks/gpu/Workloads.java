package dev.gyre.benchmarks.gpu;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/** The workloads by name: decode steps of several batches and contexts, and a prompt of 4096 tokens at 32K. */
final class Workloads {
    private static final int[] BATCHES = {1, 16, 64, 128};
    private static final int[] CONTEXTS = {4096, 32_768, 131_072};
    private static final Map<String, Supplier<Workload>> ALL = all();

    /** Every name, in the order of the tables. */
    static final Set<String> NAMES = Collections.unmodifiableSet(ALL.keySet());

    private Workloads() {}

    static Workload named(String name) {
        return ALL.get(name).get();
    }

    private static Map<String, Supplier<Workload>> all() {
        Map<String, Supplier<Workload>> all = new LinkedHashMap<>();
        for (int context : CONTEXTS) {
            for (int batch : BATCHES) {
                all.put("scores-" + batch + "x" + context / 1024 + "k", () -> new ScoreWork(batch, context, false));
            }
        }
        all.put("scores-prompt", () -> new ScoreWork(4096, 32_768, true));
        for (int context : CONTEXTS) {
            for (int batch : BATCHES) {
                all.put("topk-" + batch + "x" + context / 1024 + "k", () -> new TopKWork(batch, context));
            }
        }
        all.put("topk-prompt", () -> new TopKWork(4096, 32_768));
        for (int batch : BATCHES) {
            all.put("mla-" + batch, () -> new MlaWork("", batch, 1 << 20));
        }
        // the tokens of a prompt select from one sequence
        all.put("mla-prompt", () -> new MlaWork("prompt of ", 4096, 1 << 15));
        return all;
    }
}
