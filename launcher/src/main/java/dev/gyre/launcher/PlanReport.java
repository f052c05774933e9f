package dev.gyre.launcher;

import dev.gyre.model.MemoryPlan;

import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** A memory plan as {@code engine info} shows it. */
final class PlanReport {
    private PlanReport() {}

    /** For programs. */
    static Map<String, Object> fields(MemoryPlan plan) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("memory", plan.memory().name());
        fields.put("memory_bytes", plan.memory().bytes());
        fields.put("usable_bytes", plan.usable());
        fields.put("sequences", plan.sequences());
        fields.put("context_length", plan.contextLength());
        fields.put("weight_bytes_by_format", plan.weights());
        fields.put("weight_bytes", plan.weightBytes());
        fields.put("cache_bytes", plan.caches());
        fields.put("workspace_bytes", plan.workspaces());
        fields.put("total_bytes", plan.total());
        fields.put("fits", plan.fits());
        fields.put("longest_context", plan.longestContext());
        fields.put("layers_that_fit", plan.layersThatFit());
        return fields;
    }

    /** For people. */
    static void print(PrintWriter out, MemoryPlan plan, int layers) {
        out.printf("%nmemory of %s, %d x %d tokens:%n", plan.memory().name(), plan.sequences(), plan.contextLength());
        plan.weights().forEach((format, bytes) -> line(out, "weights in " + format, gigabytes(bytes)));
        line(out, "caches", gigabytes(plan.caches()));
        line(out, "workspaces", gigabytes(plan.workspaces()));
        line(out, "total", gigabytes(plan.total()) + " of " + gigabytes(plan.usable())
                + (plan.fits() ? "" : ": it does not fit"));
        line(out, "there is room for", plan.longestContext() + " tokens a sequence, or " + plan.layersThatFit() + " of "
                + layers + " layers at " + plan.contextLength());
    }

    private static void line(PrintWriter out, String name, String value) {
        out.printf("  %-26s %s%n", name, value);
    }

    private static String gigabytes(long bytes) {
        return String.format(Locale.ROOT, "%.3f GB", bytes / 1e9);
    }
}
