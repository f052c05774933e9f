package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** {@code engine experiment} from the command line to its files, on the embedded model. */
class ExperimentCommandTest {
    @TempDir
    private Path folder;

    private String out;
    private String text;

    @BeforeEach
    void write() throws IOException {
        out = folder.resolve("out").toString();
        text = Files.writeString(folder.resolve("text.txt"), "The people of the United States. ".repeat(20)).toString();
    }

    private Outcome experiment(String... more) {
        return Outcome.of(Outcome.join(new String[] {"experiment", "--out", out}, more)).succeeded();
    }

    private Outcome options(String... more) {
        return experiment(Outcome.join(
                new String[] {
                    "--policies", "dense,hisa:block=64,blocks=2,random", "--topk", "8", "--contexts", "100",
                    "--text-file", text, "--seeds", "3,4", "--probe-every", "2"
                },
                more));
    }

    @Test
    void aLineForEachCell() {
        Outcome outcome = options();
        List<String> lines = outcome.out().lines().toList();
        assertEquals(5, lines.size(), outcome.out());
        assertTrue(lines.get(0).startsWith("dense, 100 tokens of " + text + ": perplexity "), lines.get(0));
        assertTrue(lines.get(0).contains("recall 1.000, mass 1.000"), lines.get(0));
        assertTrue(lines.get(1).startsWith("hisa:block=64,blocks=2, k = 8, 100 tokens of "), lines.get(1));
        assertTrue(lines.get(2).startsWith("random:seed=3, k = 8, "), lines.get(2));
        assertTrue(lines.get(3).startsWith("random:seed=4, k = 8, "), lines.get(3));
        assertEquals(Path.of(out, "report.html").toString(), lines.get(4));
        for (String file : List.of("sweep.json", "results.csv", "results.json", "report.html", "time-text.txt.png")) {
            assertTrue(Files.isRegularFile(Path.of(out, file)), file);
        }
    }

    /** The figures of the command that does nothing else. */
    @Test
    void perplexityIsThatOfTheOtherCommand() {
        JsonNode results = options("--json").json().get("results");
        for (JsonNode result : results) {
            JsonNode expected = Outcome.json("perplexity", "--text-file", text, "--context", "100",
                    "--selection-policy", result.get("policy").textValue(), "--index-topk", "8");
            assertEquals(expected.get("perplexity"), result.get("perplexity"));
            assertEquals(expected.get("tokens"), result.get("tokens"));
        }
    }

    /** The second run measures nothing: its times are those of the first. */
    @Test
    void againAndJson() throws IOException {
        options();
        JsonNode first = new ObjectMapper().readTree(Path.of(out, "results.json").toFile());
        JsonNode again = options("--json").json();
        assertEquals(first, again);
        assertEquals(List.of("machine", "setup", "results"), again.propertyStream().map(Map.Entry::getKey).toList());
    }

    @Test
    void aSweepFromAFile() throws IOException {
        Path sweep = Files.writeString(folder.resolve("sweep.json"), """
                {"policies": ["dense", "hisa:block=64,blocks=2", "random"], "topk": [8], "contexts": [100],
                 "texts": ["text.txt"], "seeds": [3, 4], "probe_every": 2}""");
        JsonNode results = Outcome.json("experiment", "--out", out, "--sweep", sweep.toString());
        assertEquals(results, options("--json").json()); // the same sweep: nothing is measured
    }

    @Test
    void anotherSweepInTheFolder() {
        options();
        Outcome outcome = Outcome.of("experiment", "--out", out, "--policies", "dense", "--topk", "8", "--contexts",
                "100", "--text-file", text);
        assertEquals(1, outcome.code());
        assertTrue(outcome.err().contains("holds another experiment: sweep policies was [\"dense\","), outcome.err());
        assertEquals("", outcome.out());
    }
}
