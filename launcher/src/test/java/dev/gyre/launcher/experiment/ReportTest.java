package dev.gyre.launcher.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gyre.attention.policy.SelectionCost;
import dev.gyre.model.research.LayerStats;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.imageio.ImageIO;

/** What a report says of given figures. */
class ReportTest {
    private static final Pattern IMAGE = Pattern.compile("src=\"data:image/png;base64,([^\"]+)\"");

    @TempDir
    private Path folder;

    private static CellResult result(Cell cell, double nll, double recall) {
        List<LayerStats> layers = List.of(new LayerStats(0, 5, recall, 0.5), new LayerStats(1, 5, Double.NaN, 0.25));
        return new CellResult(cell, 100, nll, layers, new SelectionCost(1e6, 2e6, 3e6, 4e6), 200, 2, 0.5);
    }

    /** Two texts of one name, random far from the others, nothing measured at one cell. */
    private ResultFolder written(List<String> texts) {
        Sweep sweep = new Sweep(
                List.of("dense", "hisa", "random"), List.of(8, 16), List.of(64, 128), texts, List.of(1, 2), 4);
        Setup setup = new Setup("1", sweep, List.of("d"), "a <model> & more", Map.of("config.json", "c"), 5, "f32",
                null, "auto", "0..1", Map.of("linear", "vector"));
        List<CellResult> results = new ArrayList<>();
        for (Cell cell : sweep.cells()) {
            results.add(cell.policy().startsWith("random")
                    ? new CellResult(cell, 100, 600, List.of(), new SelectionCost(0, 0, 1, 1), 200, 2, 0.5)
                    : result(cell, 300, 0.75));
        }
        try (ResultFolder out = ResultFolder.open(folder.resolve("out"), setup)) {
            new Report(setup, Map.of("cpu", "\"fast\""), results).write(out);
            return out;
        }
    }

    @Test
    void csv() throws IOException {
        ResultFolder out = written(List.of("a,\"b\".txt"));
        List<String> lines = Files.readAllLines(out.path().resolve("results.csv"));
        assertEquals(1 + 2 * (1 + 3 * 2), lines.size());
        assertEquals("policy,topk,context,text,tokens,nll,perplexity,recall,mass,select_operations,select_bytes,"
                + "attend_operations,attend_bytes,threads,seconds,microseconds_per_token,"
                + "recall_0,mass_0,recall_1,mass_1",
                lines.get(0));
        assertEquals("dense,0,64,\"a,\"\"b\"\".txt\",100,300.0," + Math.exp(3) + ",0.75,0.375,1000000.0,2000000.0,"
                + "3000000.0,4000000.0,2,0.5,2500.0,0.75,0.5,,0.25", lines.get(1));
        assertTrue(lines.get(2).startsWith("\"hisa:block=128,blocks=64\",8,64,"), lines.get(2));
        String random = lines.get(4);
        assertTrue(random.startsWith("random:seed=1,8,64,\"a,\"\"b\"\".txt\",100,600.0," + Math.exp(6) + ",,,0.0"), random);
    }

    @Test
    void json() throws IOException {
        JsonNode json = new ObjectMapper().readTree(
                written(List.of("text")).path().resolve("results.json").toFile());
        assertEquals("\"fast\"", json.at("/machine/cpu").textValue());
        assertEquals(4, json.at("/setup/sweep/probe_every").intValue());
        assertEquals(14, json.get("results").size());
        JsonNode dense = json.at("/results/0");
        assertEquals(Math.exp(3), dense.get("perplexity").doubleValue());
        assertEquals(0.75, dense.get("recall").doubleValue());
        assertEquals(0.75, dense.at("/layers/0/recall").doubleValue());
        assertTrue(dense.at("/layers/1/recall").isNull());
        assertTrue(json.at("/results/3/recall").isNull());
    }

    /** The page needs nothing but itself, and what it quotes cannot become markup. */
    @Test
    void page() throws IOException {
        ResultFolder out = written(List.of("sub/<script>.txt"));
        String page = Files.readString(out.path().resolve("report.html"));
        String words = IMAGE.matcher(page).replaceAll("");
        assertFalse(
                Pattern.compile("https?:|//|<script|<link|<iframe|@import|url\\(|src=").matcher(words).find(), words);
        assertTrue(page.contains("a &lt;model&gt; &amp; more") && page.contains("&quot;fast&quot;"));
        assertTrue(page.contains("dense is measured once"));
        assertTrue(page.contains("its chart shows the largest k") && page.contains("alt=\"Time, _script_.txt, k = 16\""));
        assertTrue(page.contains(
                "<td>dense</td><td>all</td><td>64</td><td class=\"text\">sub/&lt;script&gt;.txt</td><td>20.086</td>"
                        + "<td>0.750</td><td>0.375</td><td>1.00 + 3.00</td><td>2.00 + 4.00</td><td>2500</td>"));
        List<String> files;
        try (Stream<Path> all = Files.list(out.path())) {
            files = all.map(path -> path.getFileName().toString()).filter(name -> name.endsWith(".png")).toList();
        }
        List<String> inside = new ArrayList<>();
        for (Matcher images = IMAGE.matcher(page); images.find(); ) {
            inside.add(images.group(1));
        }
        assertEquals(files.size(), inside.size());
        for (String file : files) {
            byte[] png = Files.readAllBytes(out.path().resolve(file));
            assertTrue(inside.contains(Base64.getEncoder().encodeToString(png)), file);
            assertTrue(ImageIO.read(out.path().resolve(file).toFile()).getWidth() > 0, file);
        }
    }

    @Test
    void charts() throws IOException {
        ResultFolder out = written(List.of("one/a.txt", "two/a.txt"));
        for (String text : List.of("1-a.txt.png", "2-a.txt.png")) {
            assertTrue(Files.exists(out.path().resolve("time-" + text)));
            for (String chart : List.of(
                    "perplexity", "perplexity-close", "mass", "recall", "recall-by-layer-8", "recall-by-layer-16")) {
                for (int context : List.of(64, 128)) {
                    Path file = out.path().resolve(chart + "-" + context + "-" + text);
                    assertTrue(Files.exists(file), file.toString());
                }
            }
        }
    }
}
