package dev.gyre.benchmarks;

import dev.gyre.attention.backend.Phase;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.generate.Throughput;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Time of a decode step of the embedded model against the context, sparse and dense, as a table and a plot. */
final class ContextSweep {
    private static final int[] DEPTHS = {256, 512, 1000, 2000, 4000, 8000};
    private static final int TOKENS = 48;

    private final Path folder;

    ContextSweep(Path folder) {
        this.folder = folder;
    }

    String measure() throws IOException {
        List<Double> sparse = milliseconds(ModelOptions.defaults());
        List<Double> dense = milliseconds(ModelOptions.defaults().withAttention("dense", Map.of()));
        Map<Phase, String> names = new EnumMap<>(Phase.class);
        for (Phase phase : Phase.values()) {
            names.put(phase, "reference");
        }
        Map<Phase, String> attentionOnly = new EnumMap<>(names);
        attentionOnly.remove(Phase.LINEAR);
        double reference = atDepth(ModelOptions.defaults().withAttention(null, names), 8000);
        double referenceAttention = atDepth(ModelOptions.defaults().withAttention(null, attentionOnly), 8000);
        double prefill = 4096 / median(prefill(ModelOptions.defaults()));
        plot(sparse, dense);
        StringBuilder text = new StringBuilder("""

                ## The tiny model

                Milliseconds of a decode step, batch 1, f32 caches:

                | cached tokens | sparse (top 256) | dense |
                |---|---|---|
                """);
        for (int i = 0; i < DEPTHS.length; i++) {
            text.append(String.format(Locale.ROOT, "| %d | %.2f | %.2f |%n", DEPTHS[i], sparse.get(i), dense.get(i)));
        }
        double fastest = sparse.getLast();
        text.append(String.format(Locale.ROOT, """

                At 8000 cached tokens a step takes %.1f ms with `reference` throughout and %.1f ms with `reference` in the four
                `--dsa-*-backend` options alone: %.1f and %.1f times as long as with `vector`. Prefill of 4096 tokens: %.0f
                tokens/s.

                ![decode time against context](cpu-decode.png)
                """, reference, referenceAttention, reference / fastest, referenceAttention / fastest, prefill));
        return text.toString();
    }

    private static List<Double> milliseconds(ModelOptions options) {
        List<Double> times = new ArrayList<>();
        for (int depth : DEPTHS) {
            times.add(atDepth(options, depth));
        }
        return times;
    }

    private static double atDepth(ModelOptions options, int depth) {
        try (Model model = Model.open(options)) {
            return 1e3 / median(Throughput.run(model, depth, 1, 0, TOKENS, 7).decode());
        }
    }

    private static List<Double> prefill(ModelOptions options) {
        try (Model model = Model.open(options)) {
            return Throughput.run(model, 0, 1, 4096, 0, 5).prefill().stream().map(rate -> 4096 / rate).toList();
        }
    }

    private static double median(List<Double> values) {
        return values.stream().sorted().skip(values.size() / 2).findFirst().orElseThrow();
    }

    private void plot(List<Double> sparse, List<Double> dense) throws IOException {
        XYChart chart = new XYChartBuilder()
                .width(800)
                .height(500)
                .title("Decode step of tiny-v32, " + Inputs.threads() + " threads")
                .xAxisTitle("cached tokens")
                .yAxisTitle("milliseconds")
                .build();
        double[] depths = new double[DEPTHS.length];
        for (int i = 0; i < depths.length; i++) {
            depths[i] = DEPTHS[i];
        }
        chart.addSeries("sparse (top 256)", depths, array(sparse));
        chart.addSeries("dense", depths, array(dense));
        chart.getStyler().setYAxisMin(0.0);
        BitmapEncoder.saveBitmap(chart, folder.resolve("cpu-decode").toString(), BitmapEncoder.BitmapFormat.PNG);
    }

    private static double[] array(List<Double> values) {
        return values.stream().mapToDouble(Double::doubleValue).toArray();
    }
}
