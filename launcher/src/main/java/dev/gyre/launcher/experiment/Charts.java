package dev.gyre.launcher.experiment;

import dev.gyre.model.research.LayerStats;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.CategorySeries;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.colors.XChartSeriesColors;

import java.awt.Color;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;

/**
 * An experiment's charts. A line is a policy; where it drew with several seeds, their mean. Values that were not
 * measured are gaps.
 */
final class Charts {
    private static final int WIDTH = 960;
    private static final int HEIGHT = 460;
    private static final Color[] COLOURS = new XChartSeriesColors().getSeriesColors();
    /** What is still close to the best perplexity. */
    private static final double CLOSE = 1.25;

    private final List<CellResult> results;
    /** Every policy, whose place here gives it a colour in all charts. */
    private final List<String> policies;

    Charts(List<CellResult> results) {
        this.results = results;
        policies = distinct(results, result -> Sweep.withoutSeed(result.cell().policy()));
    }

    /**
     * A chart.
     *
     * @param file its name in the folder
     * @param title what it shows
     */
    record Picture(String file, String title, byte[] png) {}

    /** All charts that the results have points for. */
    List<Picture> pictures() {
        List<Picture> pictures = new ArrayList<>();
        List<String> texts = distinct(results, result -> result.cell().text());
        for (int i = 0; i < texts.size(); i++) {
            String text = texts.get(i);
            List<CellResult> ofText = where(results, result -> result.cell().text().equals(text));
            String name = Path.of(text).getFileName().toString().replaceAll("[^A-Za-z0-9._-]", "_");
            String file = texts.size() == 1 ? name : i + 1 + "-" + name; // two folders may have files of one name
            for (int context : distinct(ofText, result -> result.cell().context())) {
                pictures.addAll(ofContext(
                        where(ofText, result -> result.cell().context() == context),
                        context + "-" + file + ".png",
                        context + " tokens of " + name));
            }
            pictures.add(time(ofText, "time-" + file + ".png", "Time, " + name));
        }
        return pictures;
    }

    private List<Picture> ofContext(List<CellResult> here, String file, String place) {
        List<Picture> pictures = new ArrayList<>();
        pictures.add(byTopk(here, "perplexity-" + file, "Perplexity, " + place, CellResult::perplexity));
        double least = here.stream().mapToDouble(CellResult::perplexity).min().orElseThrow();
        if (here.stream().anyMatch(result -> result.perplexity() > CLOSE * least)) { // which makes the others one line
            pictures.add(byTopk(
                    here,
                    "perplexity-close-" + file,
                    "Perplexity within " + Math.round(100 * (CLOSE - 1)) + "% of the best, " + place,
                    result -> result.perplexity() > CLOSE * least ? Double.NaN : result.perplexity()));
        }
        if (here.stream().anyMatch(result -> Double.isFinite(result.mass()))) {
            pictures.add(byTopk(here, "mass-" + file, "Attention mass kept, " + place, CellResult::mass));
            pictures.add(byTopk(here, "recall-" + file, "Recall of the indexer's k, " + place, CellResult::recall));
            for (int topk : selecting(here)) {
                pictures.add(byLayer(
                        where(here, result -> result.cell().topk() == topk),
                        "recall-by-layer-" + topk + "-" + file,
                        "Recall by layer, k = " + topk + ", " + place));
            }
        }
        return pictures;
    }

    /** Against k, which {@code dense} does not have: it is level. */
    private Picture byTopk(List<CellResult> here, String file, String title, ToDoubleFunction<CellResult> value) {
        CategoryChart chart = new CategoryChartBuilder().width(WIDTH).height(HEIGHT).xAxisTitle("k").build();
        chart.getStyler().setDefaultSeriesRenderStyle(CategorySeries.CategorySeriesRenderStyle.Line);
        chart.getStyler().setOverlapped(true); // all lines' points above their k
        List<Integer> topk = selecting(here).isEmpty() ? List.of(0) : selecting(here);
        byPolicy(here).forEach((policy, points) -> {
            List<Double> means = topk.stream()
                    .map(k -> where(points, result -> result.cell().topk() == k || result.cell().topk() == 0))
                    .map(ofTopk -> mean(ofTopk.stream().mapToDouble(value)))
                    .map(mean -> Double.isFinite(mean) ? mean : null) // a gap
                    .toList();
            if (means.stream().anyMatch(Objects::nonNull)) {
                chart.addSeries(policy, topk, means);
            }
        });
        return picture(chart, file, title);
    }

    private Picture byLayer(List<CellResult> here, String file, String title) {
        XYChart chart = new XYChartBuilder().width(WIDTH).height(HEIGHT).xAxisTitle("layer").build();
        chart.getStyler().setYAxisMin(0.0).setYAxisMax(1.0);
        chart.getStyler().setXAxisDecimalPattern("0");
        byPolicy(here).forEach((policy, points) -> {
            List<Integer> layers = points.getFirst().layers().stream()
                    .filter(layer -> Double.isFinite(layer.recall()))
                    .map(LayerStats::layer)
                    .toList();
            if (!layers.isEmpty()) {
                chart.addSeries(policy, layers, layers.stream()
                        .map(layer -> mean(
                                points.stream().mapToDouble(result -> result.layers().get(layer).recall())))
                        .toList());
            }
        });
        return picture(chart, file, title);
    }

    private Picture time(List<CellResult> ofText, String file, String title) {
        XYChart chart = new XYChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .xAxisTitle("context")
                .yAxisTitle("microseconds per token")
                .build();
        chart.getStyler().setYAxisMin(0.0);
        int largest = ofText.stream().mapToInt(result -> result.cell().topk()).max().orElseThrow();
        byPolicy(where(ofText, result -> result.cell().topk() == largest || result.cell().topk() == 0))
                .forEach((policy, points) -> {
                    List<Integer> contexts = distinct(points, result -> result.cell().context());
                    chart.addSeries(policy, contexts, contexts.stream()
                            .map(context -> mean(
                                    where(points, result -> result.cell().context() == context).stream()
                                            .mapToDouble(CellResult::micros)))
                            .toList());
                });
        return picture(chart, file, largest == 0 ? title : title + ", k = " + largest);
    }

    private Picture picture(Chart<?, ?> chart, String file, String title) {
        chart.setTitle(title);
        chart.getStyler().setChartBackgroundColor(Color.WHITE);
        chart.getStyler().setSeriesColors(chart.getSeriesMap().keySet().stream()
                .map(policy -> COLOURS[policies.indexOf(policy) % COLOURS.length])
                .toArray(Color[]::new));
        chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
        chart.getStyler().setLegendLayout(Styler.LegendLayout.Vertical);
        try (ByteArrayOutputStream png = new ByteArrayOutputStream()) {
            BitmapEncoder.saveBitmap(chart, png, BitmapEncoder.BitmapFormat.PNG);
            return new Picture(file, title, png.toByteArray());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The k of these results, ascending, without {@code dense}'s. */
    private static List<Integer> selecting(List<CellResult> results) {
        return distinct(results, result -> result.cell().topk()).stream().filter(k -> k > 0).sorted().toList();
    }

    private static <T> List<T> distinct(List<CellResult> results, Function<CellResult, T> value) {
        return results.stream().map(value).distinct().toList();
    }

    private static List<CellResult> where(List<CellResult> results, Predicate<CellResult> wanted) {
        return results.stream().filter(wanted).toList();
    }

    private static double mean(DoubleStream values) {
        return values.average().orElse(Double.NaN);
    }

    /** Seeds of a policy together, in the order of the results. */
    private static Map<String, List<CellResult>> byPolicy(List<CellResult> results) {
        return results.stream().collect(Collectors.groupingBy(
                result -> Sweep.withoutSeed(result.cell().policy()), LinkedHashMap::new, Collectors.toList()));
    }
}
