package dev.gyre.launcher;

import dev.gyre.model.Model;
import dev.gyre.model.research.ScoreHistogram;
import dev.gyre.model.research.SelectionInspector;
import dev.gyre.model.research.SelectionOverlap;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What {@code engine inspect} saw, as text and as JSON. */
final class InspectReport {
    /** Tokens of a layer that the text shows. */
    private static final int SHOWN = 8;
    /** Lines of a histogram. */
    private static final int LINES = 16;
    /** Characters of its longest bar. */
    private static final int BAR = 50;

    private final Model model;
    private final int[] tokens;
    private final int[] positions;
    private final SelectionInspector inspector;
    private final List<String> files;
    private final int topk;

    /** @param files heat maps that were written */
    InspectReport(Model model, int[] tokens, int[] positions, SelectionInspector inspector, List<String> files) {
        this.model = model;
        this.tokens = tokens;
        this.positions = positions;
        this.inspector = inspector;
        this.files = files;
        topk = model.config().indexer().topk();
    }

    /**
     * {@code {"input_ids", "positions", "selection_policy", "index_topk", "layers":[{"selected":{"5":[..]},
     * "mass":{"5":m}, "scores":{"edges":[..], "selected":[..], "others":[..], "zeros":n}}], "overlap":{"tokens":n,
     * "layers":[[..]], "steps":[..]}, "files":[..]}}; what was not measured is null.
     */
    Map<String, Object> json() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("input_ids", tokens);
        fields.put("positions", positions);
        fields.put("selection_policy", model.selectionPolicy().spec());
        fields.put("index_topk", topk);
        fields.put("layers", inspector.layers().stream().map(InspectReport::json).toList());
        SelectionOverlap overlap = inspector.overlap();
        Map<String, Object> common = new LinkedHashMap<>();
        common.put("tokens", overlap.rows());
        common.put("layers", Arrays.stream(overlap.betweenLayers()).map(InspectReport::numbers).toList());
        common.put("steps", numbers(overlap.betweenSteps()));
        fields.put("overlap", common);
        fields.put("files", files);
        return fields;
    }

    private static Map<String, Object> json(SelectionInspector.Layer layer) {
        Map<String, Object> selected = new LinkedHashMap<>();
        Map<String, Object> mass = new LinkedHashMap<>();
        layer.rows().forEach((position, row) -> {
            selected.put(position.toString(), row.positions());
            mass.put(position.toString(), row.mass());
        });
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("selected", selected);
        fields.put("mass", mass);
        fields.put("scores", isEmpty(layer.scores()) ? null : scores(layer.scores()));
        return fields;
    }

    private static Map<String, Object> scores(ScoreHistogram histogram) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("edges", histogram.edges());
        fields.put("selected", histogram.selected());
        fields.put("others", histogram.others());
        fields.put("zeros", histogram.zeros());
        return fields;
    }

    private static boolean isEmpty(ScoreHistogram histogram) {
        return Arrays.stream(histogram.selected()).sum() + Arrays.stream(histogram.others()).sum() == 0;
    }

    /** JSON has no NaN. */
    private static List<Double> numbers(double[] values) {
        return Arrays.stream(values).mapToObj(value -> Double.isNaN(value) ? null : value).toList();
    }

    void print(PrintWriter out) {
        out.printf("%d tokens; %s selects at most %d for each%n", tokens.length,
                model.selectionPolicy().spec(), topk);
        for (int layer = 0; layer < inspector.layers().size(); layer++) {
            out.println();
            print(out, layer);
        }
        out.println();
        printOverlap(out);
        if (!files.isEmpty()) {
            out.println();
            out.println("heat maps, chosen tokens down and all tokens across:");
            files.forEach(file -> out.println("  " + file));
        }
    }

    private void print(PrintWriter out, int number) {
        SelectionInspector.Layer layer = inspector.layers().get(number);
        double mass = layer.rows().values().stream().mapToDouble(SelectionInspector.Row::mass).average().orElse(0);
        out.printf(Locale.ROOT, "layer %d%s: %.1f%% of the attention mass is on what was selected%n", number,
                model.selectionPolicy().selects(number) ? "" : ", which shares the selection before", 100 * mass);
        for (int position : Arrays.copyOf(positions, Math.min(SHOWN, positions.length))) {
            SelectionInspector.Row row = layer.rows().get(position);
            out.printf(Locale.ROOT, "  position %d %s: %d of %d, %.1f%%: %s%n", position,
                    Shown.token(model, tokens[position]), row.positions().length, position + 1, 100 * row.mass(),
                    Shown.ranges(row.positions()));
        }
        if (positions.length > SHOWN) {
            out.println("  ... and " + (positions.length - SHOWN) + " more, which --json lists");
        }
        if (!isEmpty(layer.scores())) {
            printScores(out, layer.scores());
        }
    }

    /** Neighbouring bins together, from the first that is not empty to the last. */
    private static void printScores(PrintWriter out, ScoreHistogram histogram) {
        long[] selected = histogram.selected();
        long[] others = histogram.others();
        int first = 0;
        while (selected[first] + others[first] == 0) {
            first++;
        }
        int end = selected.length;
        while (selected[end - 1] + others[end - 1] == 0) {
            end--;
        }
        int step = Math.ceilDiv(end - first, LINES);
        List<long[]> lines = new ArrayList<>();
        for (int bin = first; bin < end; bin += step) {
            long[] line = new long[2];
            for (int i = bin; i < Math.min(bin + step, end); i++) {
                line[0] += selected[i];
                line[1] += others[i];
            }
            lines.add(line);
        }
        long most = lines.stream().mapToLong(line -> line[0] + line[1]).max().orElseThrow();
        out.println("  index scores, # selected and . not, " + histogram.zeros() + " exactly 0:");
        for (int i = 0; i < lines.size(); i++) {
            long[] line = lines.get(i);
            int hashes = bar(line[0], most);
            int all = bar(line[0] + line[1], most);
            out.printf(Locale.ROOT, "  %10.4g %s%s %d%n", histogram.edges()[first + i * step],
                    "#".repeat(hashes), ".".repeat(all - hashes), line[0] + line[1]);
        }
    }

    /** Characters for a count that is not 0: at least one. */
    static int bar(long count, long most) {
        return (int) Math.ceilDiv(count * BAR, most);
    }

    private void printOverlap(PrintWriter out) {
        SelectionOverlap overlap = inspector.overlap();
        if (overlap.rows() == 0) {
            out.println("no token sees more than " + topk + " tokens, so all were selected; --index-topk lowers it");
            return;
        }
        out.printf("what selections have in common, %% (of %d tokens that see more than %d):%n", overlap.rows(), topk);
        double[][] layers = overlap.betweenLayers();
        StringBuilder header = new StringBuilder("  layer");
        for (int layer = 0; layer < layers.length; layer++) {
            header.append(String.format(Locale.ROOT, "%6d", layer));
        }
        out.println(header.append("   the token before"));
        for (int layer = 0; layer < layers.length; layer++) {
            StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "  %5d", layer));
            for (double share : layers[layer]) {
                line.append(String.format(Locale.ROOT, "%6.1f", 100 * share));
            }
            double step = overlap.betweenSteps()[layer];
            out.println(line + (Double.isNaN(step) ? "" : String.format(Locale.ROOT, "%19.1f", 100 * step)));
        }
    }
}
