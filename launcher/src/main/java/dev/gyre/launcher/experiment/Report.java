package dev.gyre.launcher.experiment;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/** What an experiment found, as a table for spreadsheets, as JSON, and as a page with charts. */
public final class Report {
    /** The columns of a result, in their order. */
    private static final Map<String, Function<CellResult, Object>> COLUMNS = new LinkedHashMap<>();

    static {
        COLUMNS.put("policy", result -> result.cell().policy());
        COLUMNS.put("topk", result -> result.cell().topk());
        COLUMNS.put("context", result -> result.cell().context());
        COLUMNS.put("text", result -> result.cell().text());
        COLUMNS.put("tokens", CellResult::tokens);
        COLUMNS.put("nll", CellResult::nll);
        COLUMNS.put("perplexity", CellResult::perplexity);
        COLUMNS.put("recall", CellResult::recall);
        COLUMNS.put("mass", CellResult::mass);
        COLUMNS.put("select_operations", result -> result.cost().selectOperations());
        COLUMNS.put("select_bytes", result -> result.cost().selectBytes());
        COLUMNS.put("attend_operations", result -> result.cost().attendOperations());
        COLUMNS.put("attend_bytes", result -> result.cost().attendBytes());
        COLUMNS.put("threads", CellResult::threads);
        COLUMNS.put("seconds", CellResult::seconds);
        COLUMNS.put("microseconds_per_token", CellResult::micros);
    }

    private final Setup setup;
    private final Map<String, Object> machine;
    private final List<CellResult> results;

    /** @param machine what the results were measured on, by name */
    Report(Setup setup, Map<String, Object> machine, List<CellResult> results) {
        this.setup = setup;
        this.machine = machine;
        this.results = results;
    }

    /** The cells' results, in the order of the sweep. */
    public List<CellResult> results() {
        return results;
    }

    /** Writes {@code results.csv}, {@code results.json}, the charts and {@code report.html}. */
    public void write(ResultFolder folder) {
        folder.write("results.csv", csv().getBytes(StandardCharsets.UTF_8));
        folder.write("results.json", ExperimentJson.write(json()).getBytes(StandardCharsets.UTF_8));
        List<Charts.Picture> pictures = new Charts(results).pictures();
        pictures.forEach(picture -> folder.write(picture.file(), picture.png()));
        folder.write("report.html", new HtmlReport(setup, machine, results).page(pictures).getBytes(
                StandardCharsets.UTF_8));
    }

    /** The content of {@code results.json} on one line. */
    public String line() {
        return ExperimentJson.line(json());
    }

    /** Machine, setup, and of each cell what the columns of the table say, with the layers. */
    private Map<String, Object> json() {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("machine", machine);
        json.put("setup", setup);
        json.put("results", results.stream().map(result -> {
            Map<String, Object> fields = new LinkedHashMap<>();
            COLUMNS.forEach((name, value) -> fields.put(name, value.apply(result)));
            fields.put("layers", result.layers());
            return fields;
        }).toList());
        return json;
    }

    /** A line for each cell; behind the columns recall and mass of each layer. A number that is none is empty. */
    String csv() {
        int layers = results.stream().mapToInt(result -> result.layers().size()).max().orElse(0);
        StringBuilder text = new StringBuilder(String.join(",", COLUMNS.keySet()));
        for (int layer = 0; layer < layers; layer++) {
            text.append(",recall_").append(layer).append(",mass_").append(layer);
        }
        text.append('\n');
        for (CellResult result : results) {
            text.append(COLUMNS.values().stream()
                    .map(column -> value(column.apply(result)))
                    .collect(Collectors.joining(",")));
            result.layers().forEach(layer ->
                    text.append(',').append(value(layer.recall())).append(',').append(value(layer.mass())));
            text.append('\n');
        }
        return text.toString();
    }

    /** A value as RFC 4180 has it. */
    private static String value(Object value) {
        if (value instanceof Double number && !Double.isFinite(number)) {
            return "";
        }
        String text = value.toString();
        return text.matches("(?s).*[\",\r\n].*") ? '"' + text.replace("\"", "\"\"") + '"' : text;
    }
}
