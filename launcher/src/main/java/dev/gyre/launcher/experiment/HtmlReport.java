package dev.gyre.launcher.experiment;

import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** An experiment as one page that needs nothing else: its charts are in it. */
final class HtmlReport {
    private static final String STYLE = """
            body { font: 15px/1.5 sans-serif; max-width: 1580px; margin: 2em auto; padding: 0 1em; color: #222; }
            table { border-collapse: collapse; margin: 1em 0; }
            th, td { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
            th:first-child, td:first-child, td.text { text-align: left; }
            img { max-width: 100%; margin: .3em; border: 1px solid #ddd; }
            """;

    private final Setup setup;
    private final Map<String, Object> machine;
    private final List<CellResult> results;

    HtmlReport(Setup setup, Map<String, Object> machine, List<CellResult> results) {
        this.setup = setup;
        this.machine = machine;
        this.results = results;
    }

    /** The page. */
    String page(List<Charts.Picture> pictures) {
        StringBuilder page = new StringBuilder("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                + "<title>Selection policies</title>\n<style>\n" + STYLE + "</style>\n</head>\n<body>\n"
                + "<h1>Selection policies</h1>\n");
        setup(page);
        table(page);
        pictures.forEach(picture -> page.append("<img alt=\"").append(escape(picture.title()))
                .append("\" src=\"data:image/png;base64,")
                .append(Base64.getEncoder().encodeToString(picture.png()))
                .append("\">\n"));
        return page.append("</body>\n</html>\n").toString();
    }

    private void setup(StringBuilder page) {
        page.append("<table>\n");
        row(page, "model", setup.model() + ", " + setup.parameters() + " parameters");
        row(page, "kv_cache_dtype", setup.kvCacheDtype());
        row(page, "implementations", setup.implementations());
        if (setup.configOverride() != null) {
            row(page, "config_override", setup.configOverride());
        }
        row(page, "load_format", setup.loadFormat());
        if (setup.layers() != null) {
            row(page, "layers", setup.layers());
        }
        machine.forEach((name, value) -> row(page, name, value));
        page.append("</table>\n");
        if (!setup.sweep().note().isEmpty()) {
            page.append("<p>Of the cross product: ").append(escape(setup.sweep().note())).append(".</p>\n");
        }
    }

    private static void row(StringBuilder page, String name, Object value) {
        page.append("<tr><td>").append(escape(name)).append("</td><td class=\"text\">")
                .append(escape(value.toString())).append("</td></tr>\n");
    }

    private void table(StringBuilder page) {
        int every = setup.sweep().probeEvery();
        page.append("""
                <p>Operations and bytes are of a token that sees the whole context, over all layers, by the policies'
                formulas: choosing + attending. Time is of prefill, window after window; its chart shows the largest k
                alone, and dense.
                """);
        if (every > 0) {
            page.append("Recall and mass are means over layers, measured at "
                    + (every == 1 ? "every position" : "positions that are multiples of " + every)
                    + " with more than k tokens to choose from.\n");
        }
        page.append("</p>\n<table>\n<tr><th>policy</th><th>k</th><th>context</th><th>text</th><th>perplexity</th>"
                + "<th>recall</th><th>mass</th><th>MFLOP/token</th><th>MB/token</th><th>&micro;s/token</th></tr>\n");
        for (CellResult result : results) {
            Cell cell = result.cell();
            page.append("<tr><td>").append(escape(cell.policy())).append("</td>");
            cell(page, cell.topk() == 0 ? "all" : Integer.toString(cell.topk()));
            cell(page, Integer.toString(cell.context()));
            page.append("<td class=\"text\">").append(escape(cell.text())).append("</td>");
            cell(page, number("%.3f", result.perplexity()));
            cell(page, number("%.3f", result.recall()));
            cell(page, number("%.3f", result.mass()));
            cell(page, number("%.2f", result.cost().selectOperations() / 1e6) + " + "
                    + number("%.2f", result.cost().attendOperations() / 1e6));
            cell(page, number("%.2f", result.cost().selectBytes() / 1e6) + " + "
                    + number("%.2f", result.cost().attendBytes() / 1e6));
            cell(page, number("%.0f", result.micros()));
            page.append("</tr>\n");
        }
        page.append("</table>\n");
    }

    private static void cell(StringBuilder page, String text) {
        page.append("<td>").append(text).append("</td>");
    }

    private static String number(String format, double value) {
        return Double.isFinite(value) ? String.format(Locale.ROOT, format, value) : "";
    }

    private static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
    }
}
