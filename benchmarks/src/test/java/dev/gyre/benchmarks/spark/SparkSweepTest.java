package dev.gyre.benchmarks.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.launcher.Main;
import dev.gyre.launcher.experiment.Cell;
import dev.gyre.launcher.experiment.Experiment;
import dev.gyre.launcher.experiment.Sweep;
import dev.gyre.model.ModelOptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** A sweep on two workers of this machine. */
class SparkSweepTest {
    private static final List<String> TIMES = List.of("seconds", "microseconds_per_token", "threads");

    @TempDir
    private Path folder;

    private Path text;

    @BeforeEach
    void write() throws IOException {
        text = Files.writeString(
                folder.resolve("text.txt"), "The people of the United States, and of the several States. ".repeat(12));
    }

    /** What {@code run-sweep} writes on stdout, or on stderr where another exit code than 0 is expected. */
    private String spark(int code, Path out, String... more) {
        StringWriter stdout = new StringWriter();
        StringWriter stderr = new StringWriter();
        String[] args = Stream.concat(
                        Stream.of("--policies", "indexer,random,recent:sink=2", "--topk", "8,16", "--contexts", "64",
                                "--probe-every", "3", "--text-file", text.toString(), "--out", out.toString()),
                        Stream.of(more))
                .toArray(String[]::new);
        int ended = Main.run(new SparkSweep(), args, Map.of(), new PrintWriter(stdout), new PrintWriter(stderr));
        assertEquals(code, ended, stderr.toString());
        return code == 0 ? stdout.toString() : stderr.toString();
    }

    private Experiment local(Path out) {
        Sweep sweep = new Sweep(
                List.of("indexer", "random", "recent:sink=2"),
                List.of(8, 16),
                List.of(64),
                List.of(text.toString()),
                null,
                3);
        try {
            return Experiment.open(
                    sweep, List.of(Files.readString(text)), ModelOptions.defaults().withThreads(2), out);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /** Results without what depends on where they were measured. */
    private static JsonNode figures(Path out) throws IOException {
        JsonNode results = new ObjectMapper().readTree(out.resolve("results.json").toFile()).get("results");
        results.forEach(result -> ((ObjectNode) result).remove(TIMES));
        return results;
    }

    @Test
    void sameFiguresAsOnOneMachine() throws IOException {
        Path there = folder.resolve("spark");
        spark(0, there, "--master", "local[2]");
        Path here = folder.resolve("local");
        Experiment experiment = local(here);
        experiment.run((done, what) -> {});
        experiment.report(Map.of()).write(experiment.folder());
        assertEquals(figures(here), figures(there));
        assertEquals(6, figures(here).size());
        assertTrue(Files.readString(there.resolve("report.html")).contains("data:image/png"));
    }

    /** Three of six cells come from one machine; Spark measures the others and leaves these alone. */
    @Test
    void goesOnWithWhatOneMachineBegan() throws IOException {
        Path out = folder.resolve("begun");
        Experiment experiment = local(out);
        experiment.run((done, what) -> {});
        for (int number : List.of(0, 3, 4)) {
            Files.delete(out.resolve("cells").resolve("0000" + number + ".json"));
        }
        Path kept = out.resolve("cells/00001.json");
        FileTime before = Files.getLastModifiedTime(kept);
        String printed = spark(0, out, "--master", "local[2]", "--json");
        JsonNode results = new ObjectMapper().readTree(printed).get("results");
        assertEquals(
                List.of(1, 2, 2, 1, 1, 2),
                results.valueStream().map(result -> result.get("threads").intValue()).toList());
        assertEquals(before, Files.getLastModifiedTime(kept));
    }

    /** What Spark says against its settings is one sentence; what was measured before stays. */
    @Test
    void mistakes() {
        Path out = folder.resolve("out");
        String err = spark(1, out, "--master", "nonsense");
        assertTrue(err.startsWith("engine: the Spark job failed: Could not parse Master URL") && err.endsWith(".\n"), err);
        assertEquals(1, err.lines().count(), err);
        assertTrue(spark(1, out, "--master", "local[1]", "--threads", "2").contains("cpus per task"));
        assertTrue(spark(2, out, "--threads", "0").contains("--threads"));
        assertTrue(spark(2, folder.resolve("other"), "--frob").contains("--frob"));
    }

    /** A task that fails tells the driver what an experiment on one machine would say. */
    @Test
    void aTaskThatFails() {
        Experiment experiment = local(folder.resolve("out"));
        Cell cell = experiment.cells().getFirst();
        CellTask.Answer answer = new CellTask(cell, experiment.tokens(cell), 3, "/nowhere", 1).run();
        assertNull(answer.result());
        assertTrue(answer.failure().startsWith("indexer, k = 8, 64 tokens of "), answer.failure());
        assertTrue(answer.failure().contains("/nowhere"), answer.failure());
    }
}
