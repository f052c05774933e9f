package dev.gyre.launcher;

import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.hisparse.HiSparseStats;
import dev.gyre.model.Model;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** What a command says of hot latents, where a model has them. */
final class HotLatents {
    private HotLatents() {}

    /** For JSON, by phase; empty without them. */
    static Map<String, Object> fields(Model model) {
        Map<String, Object> phases = new TreeMap<>();
        model.hiSparseStats().forEach((phase, stats) -> phases.put(phase.label(), stats.fields()));
        return phases;
    }

    /** For stderr, a line for each phase that selected something. */
    static List<String> lines(Model model) {
        return model.hiSparseStats().entrySet().stream()
                .sorted(Map.Entry.comparingByKey())
                .filter(entry -> entry.getValue().selected() > 0)
                .map(entry -> line(entry.getKey(), entry.getValue()))
                .toList();
    }

    private static String line(Phase phase, HiSparseStats stats) {
        return String.format(
                Locale.ROOT,
                "[%s: %.1f%% of %d selected latents were hot, %d evicted, %.1f MB fetched]",
                phase.label(),
                100 * stats.hitRate(),
                stats.selected(),
                stats.evictions(),
                stats.bytesFetched() * 1e-6);
    }
}
