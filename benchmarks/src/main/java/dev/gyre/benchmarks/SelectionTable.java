package dev.gyre.benchmarks;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;

/**
 * What {@code engine experiment} found as a page of {@code benchmarks/results}: a table of each figure by policy and k, and
 * the charts. What a person wrote below {@value #LESSON} stays.
 */
public final class SelectionTable {
    private static final String LESSON = "## What it teaches";

    private SelectionTable() {}

    /** {@code FOLDER PAGE}: of the experiment; of the page, where its pictures go too. */
    public static void main(String[] args) throws IOException {
        Path folder = Path.of(args[0]);
        Path page = Path.of(args[1]);
        JsonNode experiment = new ObjectMapper().readTree(folder.resolve("results.json").toFile());
        List<String> pictures = new ArrayList<>();
        String name = page.getFileName().toString().replace(".md", "-");
        for (String kind : List.of("perplexity-close", "mass", "recall")) {
            try (var found = Files.newDirectoryStream(folder, kind + "-[0-9]*.png")) {
                for (Path picture : found) {
                    Files.copy(picture, page.resolveSibling(name + kind + ".png"), StandardCopyOption.REPLACE_EXISTING);
                    pictures.add(name + kind + ".png");
                }
            }
        }
        Files.writeString(page, text(experiment, pictures) + lesson(page));
    }

    private static String lesson(Path page) throws IOException {
        String before = Files.exists(page) ? Files.readString(page) : "";
        int at = before.indexOf(LESSON);
        return at < 0 ? LESSON + "\n" : before.substring(at);
    }

    private static String text(JsonNode experiment, List<String> pictures) {
        JsonNode results = experiment.get("results");
        StringBuilder page = new StringBuilder("# Selection policies\n\n").append(Environment.describe());
        page.append("\nMade by `benchmarks/run-selection`: ").append(experiment.get("setup").get("model").textValue())
                .append(" on ").append(Path.of(results.get(0).get("text").textValue()).getFileName()).append(", windows of ")
                .append(results.get(0).get("context")).append(" tokens, ").append(results.get(0).get("tokens"))
                .append(" tokens scored. Recall and attention mass are means over layers and every ")
                .append(experiment.get("setup").get("sweep").get("probe_every")).append("th token.\n\n");
        table(page, results, "perplexity", "Perplexity", 3);
        table(page, results, "mass", "Attention mass kept", 3);
        table(page, results, "recall", "Recall of what the indexer selects", 3);
        for (String picture : pictures) {
            page.append("![").append(picture).append("](").append(picture).append(")\n");
        }
        return page.append('\n').toString();
    }

    /** A row for each policy, a column for each k; what has no k is the same in all. */
    private static void table(StringBuilder page, JsonNode results, String figure, String title, int digits) {
        Map<String, Map<Integer, Double>> policies = new LinkedHashMap<>();
        TreeSet<Integer> all = new TreeSet<>();
        for (JsonNode result : results) {
            int k = result.get("topk").intValue();
            if (k > 0) {
                all.add(k);
            }
            policies.computeIfAbsent(result.get("policy").textValue(), policy -> new LinkedHashMap<>())
                    .put(k, result.get(figure).asDouble(Double.NaN));
        }
        page.append("## ").append(title).append("\n\n| policy |");
        all.forEach(k -> page.append(" k = ").append(k).append(" |"));
        page.append("\n|---|").append("---|".repeat(all.size())).append('\n');
        policies.forEach((policy, values) -> {
            page.append("| `").append(policy).append("` |");
            for (int k : all) {
                double value = values.getOrDefault(k, values.getOrDefault(0, Double.NaN));
                page.append(' ').append(String.format(Locale.ROOT, "%." + digits + "f", value)).append(" |");
            }
            page.append('\n');
        });
        page.append('\n');
    }
}
