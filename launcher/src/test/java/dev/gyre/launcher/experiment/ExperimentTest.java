package dev.gyre.launcher.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.generate.Perplexity;
import dev.gyre.model.research.LayerStats;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Experiments on the embedded model: what is measured, and that one that was cut off goes on. */
class ExperimentTest {
    private static final String TEXT = "The people of the United States, and of the several States. ".repeat(12);
    private static final String VERSION = "1.0";
    private static final Sweep SWEEP = new Sweep(
            List.of("dense", "indexer", "random"), List.of(8, 24), List.of(64), List.of("text"), List.of(1, 2), 3);

    @TempDir
    private Path temporary;

    private Experiment last;

    /** Another process has it when the last one is done with it. */
    private Experiment open(Sweep sweep, String text, ModelOptions options) {
        close();
        last = Experiment.open(VERSION, sweep, List.of(text), options, temporary.resolve("out"));
        return last;
    }

    @AfterEach
    void close() {
        if (last != null) {
            last.close();
        }
    }

    private Experiment open() {
        return open(SWEEP, TEXT, ModelOptions.defaults().withThreads(1));
    }

    private Experiment runThere(String folder, int threads) {
        try (Experiment experiment = Experiment.open(VERSION, SWEEP, List.of(TEXT),
                ModelOptions.defaults().withThreads(threads), temporary.resolve(folder))) {
            experiment.run((done, what) -> {});
            return experiment;
        }
    }

    /** Everything but threads and time, as text: NaN equals NaN. */
    private static List<String> figures(Experiment experiment) {
        return experiment.report(Map.of()).results().stream()
                .map(result -> new CellResult(result.cell(), result.tokens(), result.nll(), result.layers(),
                        result.cost(), result.ran(), 0, 0).json())
                .toList();
    }

    /** Runs until a cell begins that is not to be, as if the machine stopped there. */
    private static void runUntil(Experiment experiment, int done) {
        class Stopped extends RuntimeException {
            private static final long serialVersionUID = 1L;
        }
        assertThrows(Stopped.class, () -> experiment.run((reached, what) -> {
            if (reached == done) {
                throw new Stopped();
            }
        }));
    }

    @Test
    void figuresAreThoseOfTheModel() {
        Experiment experiment = open();
        experiment.run((done, what) -> {});
        List<CellResult> results = experiment.report(Map.of()).results();
        assertEquals(SWEEP.cells(), results.stream().map(CellResult::cell).toList());
        CellResult dense = results.get(0);
        CellResult indexer = results.get(1);
        CellResult random = results.get(3);
        for (CellResult result : List.of(dense, indexer, random)) {
            ModelOptions options = ModelOptions.defaults().withSelectionPolicy(result.cell().policy())
                    .withIndexTopk(result.cell().topk());
            try (Model model = Model.open(options)) {
                int[] tokens = model.tokenizer().encodeWithBos(TEXT);
                Perplexity expected = Perplexity.measure(model, tokens, 64, done -> {});
                assertEquals(expected.nll(), result.nll());
                assertEquals(expected.tokens(), result.tokens());
                assertEquals(tokens.length, result.ran());
                double operations = model.selectionPolicy().cost(64).operations() * model.config().layers();
                assertEquals(operations, result.cost().operations());
            }
            assertTrue(result.seconds() > 0 && result.micros() > 0);
            assertEquals(4, result.layers().size());
        }
        assertEquals(1, dense.recall());
        assertEquals(1, dense.mass(), 1e-5);
        assertEquals(1, indexer.recall());
        assertTrue(indexer.mass() < 1 && indexer.mass() > random.mass(), indexer + " " + random);
        assertTrue(random.recall() < 0.9, random.toString());
        assertTrue(results.get(5).nll() != random.nll()); // another seed
        double mean = random.layers().stream().mapToDouble(LayerStats::mass).sum() / 4;
        assertEquals(mean, random.mass(), 1e-12);
    }

    @Test
    void theSameAgainAndOnMoreThreads() {
        Experiment one = open();
        one.run((done, what) -> {});
        Experiment two = runThere("other", 3);
        assertEquals(figures(one), figures(two));
    }

    @Test
    void withoutTheProbe() {
        Sweep sweep = new Sweep(List.of("indexer"), List.of(8), List.of(64), List.of("text"), null, 0);
        Experiment experiment = open(sweep, TEXT, ModelOptions.defaults());
        experiment.run((done, what) -> {});
        CellResult result = experiment.report(Map.of()).results().getFirst();
        assertEquals(List.of(), result.layers());
        assertTrue(Double.isNaN(result.recall()) && Double.isNaN(result.mass()));
    }

    /** Cut off twice, it measures each cell once and finds what it would have found. */
    @Test
    void goesOnAfterACrash() {
        Experiment whole = runThere("whole", 1);
        runUntil(open(), 2);
        assertEquals(List.of(2, 3, 4, 5, 6), open().missing());
        runUntil(open(), 5);
        Experiment rest = open();
        assertEquals(5, rest.done());
        List<String> begun = new ArrayList<>();
        rest.run((done, what) -> begun.add(done + " " + what.replaceAll(", \\d+%$", "")));
        assertEquals(
                List.of("5 random:seed=2, k = 8, 64 tokens of text", "6 random:seed=2, k = 24, 64 tokens of text"),
                begun.stream().distinct().toList());
        assertEquals(figures(whole), figures(rest));
        assertEquals(List.of(), open().missing());
    }

    /** A file that a disk cut off, one of another cell, and what a crash left of one that was being written. */
    @Test
    void damagedCellsAreMeasuredAgain() throws IOException {
        Experiment experiment = open();
        experiment.run((done, what) -> {});
        Path cells = temporary.resolve("out/cells");
        String first = Files.readString(cells.resolve("00000.json"));
        Files.writeString(cells.resolve("00000.json"), first.substring(0, first.length() / 2));
        Files.writeString(cells.resolve("00002.json"), first);
        Files.writeString(cells.resolve("00003.json"), "");
        Files.move(cells.resolve("00004.json"), cells.resolve("00004.json.tmp"));
        Experiment again = open();
        assertEquals(List.of(0, 2, 3, 4), again.missing());
        again.run((done, what) -> {});
        assertEquals(figures(experiment), figures(again));
        try (Stream<Path> files = Files.list(cells)) {
            assertEquals(SWEEP.cells().size(), files.count());
        }
    }

    /** Whatever a cell's file holds that is not a whole result. */
    @Test
    void cellsThatAreNoResults() throws IOException {
        Experiment experiment = open();
        experiment.run((done, what) -> {});
        Path cell = temporary.resolve("out/cells/00001.json");
        String whole = Files.readString(cell);
        String cellAlone = whole.replaceFirst("(?s)^(\\{\"cell\":\\{.*?\\}),.*", "$1}");
        assertTrue(cellAlone.matches("\\{\"cell\":\\{[^}]*}}"), cellAlone);
        for (String damaged : List.of("null", "[]", "{}", cellAlone,
                whole.replaceFirst("\"nll\":[^,]*,", ""),
                whole.replaceFirst("\"layers\":\\[.*?]", "\"layers\":null"),
                whole.replaceFirst("\"tokens\":\\d+", "\"tokens\":null"))) {
            Files.writeString(cell, damaged);
            assertEquals(List.of(1), open().missing(), damaged);
        }
        Files.write(cell, new byte[] {'{', '"', (byte) 0xff, (byte) 0xfe, '"', '}'});
        assertEquals(List.of(1), open().missing());
        Files.write(cell, new byte[] {0, 0, (byte) 0xff, (byte) 0xfe, 0, 0, 0, 0}); // read as UTF-32, wrongly
        assertEquals(List.of(1), open().missing());
        Files.writeString(cell, whole);
        assertEquals(List.of(), open().missing());
    }

    /** The program may end between any two things that it does to the folder. */
    @Test
    void crashesBeforeItBegan() throws IOException {
        Path out = temporary.resolve("out");
        Files.createDirectories(out.resolve("cells"));
        Files.writeString(out.resolve("sweep.json.tmp"), "{\"sw");
        assertEquals(SWEEP.cells().size(), open().missing().size());
        Files.delete(out.resolve("cells")); // between the two
        assertEquals(SWEEP.cells().size(), open().missing().size());
        Files.delete(out.resolve("sweep.json"));
        Files.writeString(out.resolve("cells/00000.json.tmp"), "");
        open();
        Files.delete(out.resolve("sweep.json"));
        Files.writeString(out.resolve("cells/notes.txt"), "");
        refused("is not empty and holds no experiment", SWEEP, TEXT, ModelOptions.defaults());
    }

    private void refused(String named, Sweep sweep, String text, ModelOptions options) {
        EngineException e = assertThrows(EngineException.class, () -> open(sweep, text, options));
        assertTrue(e.getMessage().contains(named), e.getMessage());
    }

    @Test
    void anotherExperimentInTheFolder() throws IOException {
        ModelOptions options = ModelOptions.defaults();
        open();
        refused("contexts was [64] and is [32]",
                new Sweep(SWEEP.policies(), SWEEP.topk(), List.of(32), SWEEP.texts(), SWEEP.seeds(), 3), TEXT, options);
        refused("probe_every was 3 and is 4",
                new Sweep(SWEEP.policies(), SWEEP.topk(), SWEEP.contexts(), SWEEP.texts(), SWEEP.seeds(), 4), TEXT,
                options);
        refused("digests was", SWEEP, TEXT + "More.", options);
        refused("kv_cache_dtype was \"f32\"", SWEEP, TEXT, options.withCacheDtype(CacheDtype.BF16));
        refused("config_override was null", SWEEP, TEXT, options.withConfigOverride("{\"rms_norm_eps\":1e-5}"));
        close();
        EngineException version = assertThrows(EngineException.class, () -> Experiment.open(
                "1.1", SWEEP, List.of(TEXT), options, temporary.resolve("out")));
        assertTrue(version.getMessage().contains("version was \"1.0\" and is \"1.1\""), version.getMessage());
        Path sweep = temporary.resolve("out/sweep.json");
        Files.writeString(sweep, "{");
        refused("sweep.json is not an experiment's", SWEEP, TEXT, options);
        Files.writeString(sweep, "null");
        refused("sweep.json is not an experiment's", SWEEP, TEXT, options);
        Files.delete(sweep);
        Files.createFile(temporary.resolve("out/notes.txt"));
        refused("is not empty and holds no experiment", SWEEP, TEXT, options);
    }

    /** Two that write into one folder would each measure what the other does. */
    @Test
    void aFolderHasOneExperimentAtATime() {
        open();
        EngineException used = assertThrows(EngineException.class, () -> Experiment.open(
                VERSION, SWEEP, List.of(TEXT), ModelOptions.defaults(), temporary.resolve("out")));
        assertTrue(used.getMessage().contains("is in use: another experiment writes there"), used.getMessage());
        open();
        refused("probe_every was 3 and is 4",
                new Sweep(SWEEP.policies(), SWEEP.topk(), SWEEP.contexts(), SWEEP.texts(), SWEEP.seeds(), 4), TEXT,
                ModelOptions.defaults()); // and is not locked by one that could not begin
        open();
    }

    /** The folder is the same and so are the shapes, but what is in its files is not. */
    @Test
    void anotherModelInTheModelsFolder() throws IOException {
        Path model = Files.createDirectory(temporary.resolve("model"));
        for (String file : List.of("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")) {
            Files.copy(Path.of("../models/tiny-v32", file), model.resolve(file));
        }
        ModelOptions options = ModelOptions.defaults().withModel(model);
        open(SWEEP, TEXT, options);
        open(SWEEP, TEXT, options);
        Path config = model.resolve("config.json");
        String before = Files.readString(config);
        Files.writeString(config, before.replaceFirst("\"rope_theta\": *[0-9.]+", "\"rope_theta\": 77777"));
        refused("model_files config.json was", SWEEP, TEXT, options);
        Files.writeString(config, before);
        open(SWEEP, TEXT, options);
        Path weights = model.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(weights);
        bytes[bytes.length - 1] ^= 1;
        Files.write(weights, bytes);
        refused("model_files model.safetensors was", SWEEP, TEXT, options);
    }

    /** Nothing is computed and nothing is written. */
    @Test
    void whatCannotBeIsSaidBefore() {
        ModelOptions options = ModelOptions.defaults();
        refused("fewer than the context of 4096",
                new Sweep(List.of("dense", "indexer"), List.of(8), List.of(64, 4096), List.of("text"), null, null),
                TEXT, options);
        refused("beyond the model's 32", SWEEP, TEXT, options.withContextLength(32));
        refused("sink must be below",
                new Sweep(List.of("dense", "recent:sink=8"), List.of(8), List.of(64), List.of("text"), null, null),
                TEXT, options);
        refused("--index-topk", SWEEP, TEXT, options.withIndexTopk(8));
        refused("--selection-policy", SWEEP, TEXT, options.withSelectionPolicy("dense"));
        assertFalse(Files.exists(temporary.resolve("out")));
    }
}
