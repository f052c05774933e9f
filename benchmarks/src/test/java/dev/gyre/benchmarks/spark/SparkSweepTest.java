package dev.gyre.benchmarks.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.hisparse.HiSparseOptions;
import dev.gyre.launcher.Main;
import dev.gyre.launcher.experiment.Cell;
import dev.gyre.model.LoadFormat;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.Precision;
import dev.gyre.model.config.LayerRange;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.EnumMap;
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

    private String[] sweep(String command, Path out, String... more) {
        return Stream.of(
                        Stream.of(command).filter(name -> !name.isEmpty()),
                        Stream.of("--policies", "indexer,random,recent:sink=2", "--topk", "8,16", "--contexts", "64",
                                "--probe-every", "3", "--text-file", text.toString(), "--out", out.toString()),
                        Stream.of(more))
                .flatMap(arguments -> arguments)
                .toArray(String[]::new);
    }

    /** What {@code run-sweep} writes on stdout, or on stderr where another exit code than 0 is expected. */
    private String spark(int code, Path out, String... more) {
        StringWriter stdout = new StringWriter();
        StringWriter stderr = new StringWriter();
        int ended = Main.run(new SparkSweep(), sweep("", out, more), Map.of(), new PrintWriter(stdout),
                new PrintWriter(stderr));
        assertEquals(code, ended, stderr.toString());
        return code == 0 ? stdout.toString() : stderr.toString();
    }

    /** Runs the same as {@code engine experiment} on two threads. */
    private void local(Path out, String... more) {
        StringWriter stderr = new StringWriter();
        String[] arguments = Stream.concat(Stream.of(sweep("experiment", out, more)), Stream.of("--threads", "2"))
                .toArray(String[]::new);
        int ended = Main.run(arguments, Map.of(), new PrintWriter(new StringWriter()), new PrintWriter(stderr));
        assertEquals(0, ended, stderr.toString());
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
        local(here);
        assertEquals(figures(here), figures(there));
        assertEquals(6, figures(here).size());
        assertTrue(Files.readString(there.resolve("report.html")).contains("data:image/png"));
    }

    /** Three of six cells come from one machine; Spark measures the others and leaves these alone, and vice versa. */
    @Test
    void goesOnWithWhatOneMachineBegan() throws IOException {
        Path out = folder.resolve("begun");
        String[] options = {"--config-override", "{\"rope_theta\":9000}", "--precision", "fast",
            "--dsa-indexer-backend", "reference", "--prefill-chunk", "40", "--hisparse-hot-tokens", "256"};
        local(out, options);
        JsonNode expected = figures(out);
        for (int number : List.of(0, 3, 4)) {
            Files.delete(out.resolve("cells").resolve("0000" + number + ".json"));
        }
        Path kept = out.resolve("cells/00001.json");
        FileTime before = Files.getLastModifiedTime(kept);
        String printed = spark(0, out, Stream.concat(Stream.of(options), Stream.of("--master", "local[2]", "--json"))
                .toArray(String[]::new));
        JsonNode results = new ObjectMapper().readTree(printed).get("results");
        assertEquals(
                List.of(1, 2, 2, 1, 1, 2),
                results.valueStream().map(result -> result.get("threads").intValue()).toList());
        assertEquals(before, Files.getLastModifiedTime(kept));
        assertEquals(expected, figures(out));
        Files.delete(kept);
        local(out, options);
        assertEquals(expected, figures(out));
        assertTrue(spark(1, out, "--master", "local[2]").contains("kv_cache_dtype was \"bf16\""));
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
        SentOptions nowhere = SentOptions.of(ModelOptions.defaults().withModel(Path.of("/nowhere")));
        CellTask.Answer answer = new CellTask(new Cell("indexer", 8, 64, "text"), new int[64], 3, nowhere).run();
        assertNull(answer.result());
        assertTrue(answer.failure().startsWith("indexer, k = 8, 64 tokens of "), answer.failure());
        assertTrue(answer.failure().contains("/nowhere"), answer.failure());
    }

    /** Every option that one may give arrives. */
    @Test
    void optionsTravelWhole() throws IOException, ClassNotFoundException {
        Map<Phase, String> implementations = new EnumMap<>(Phase.class);
        for (Phase phase : Phase.values()) {
            implementations.put(phase, "reference" + phase.ordinal());
        }
        ModelOptions options = ModelOptions.defaults()
                .withModel(folder)
                .withAttention("dsa", implementations)
                .withCacheDtype(CacheDtype.FP8_E4M3)
                .withConfigOverride("{}")
                .withPrecision(Precision.FAST)
                .withThreads(7)
                .withContextLength(1234)
                .withChunks(56, 7890)
                .withDevices(List.of("0:1", "cuda"))
                .withHiSparse(new HiSparseOptions(99, folder))
                .withLoadFormat(LoadFormat.DUMMY)
                .withLayers(new LayerRange(1, 3));
        for (ModelOptions sent : List.of(options, ModelOptions.defaults(),
                options.withHiSparse(HiSparseOptions.of(5)))) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
                out.writeObject(SentOptions.of(sent));
            }
            try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
                assertEquals(sent, ((SentOptions) in.readObject()).options());
            }
        }
    }
}
