package dev.gyre.launcher.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Which cells a sweep has, and what a sweep cannot be. */
class SweepTest {
    private static final String WHOLE = """
            {"policies": ["indexer", "random", "hisa:blocks=9,block=64"], "topk": [8, 16], "contexts": [64, 128],
             "texts": ["a.txt", "sub/b.txt"], "seeds": [3, 4], "probe_every": 2}""";

    @TempDir
    private Path folder;

    private Sweep read(String json) {
        try {
            return Sweep.read(Files.writeString(folder.resolve("sweep.json"), json));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static Sweep sweep(List<String> policies, List<Integer> topk, List<Integer> contexts, List<Integer> seeds) {
        return new Sweep(policies, topk, contexts, List.of("text"), seeds, null);
    }

    @Test
    void aFile() {
        Sweep sweep = read(WHOLE);
        assertEquals(
                List.of("indexer", "random:seed=3", "random:seed=4", "hisa:block=64,blocks=9"), sweep.policies());
        assertEquals(List.of(8, 16), sweep.topk());
        assertEquals(List.of(64, 128), sweep.contexts());
        assertEquals(
                List.of(folder.resolve("a.txt").toString(), folder.resolve("sub/b.txt").toString()), sweep.texts());
        assertEquals(2, sweep.probeEvery());
        assertEquals(2 * 2 * 4 * 2, sweep.cells().size());
    }

    /** What the folder of an experiment keeps is read back as the same. */
    @Test
    void thereAndBack() {
        Sweep sweep = new Sweep(List.of("random", "dense"), List.of(8), List.of(64), List.of("/t"), List.of(5, 6), 0);
        assertEquals(sweep, read(ExperimentJson.write(sweep)));
    }

    @Test
    void whatIsLeftOpen() {
        Sweep sweep = read("{\"policies\":[\"random\"],\"topk\":[8],\"contexts\":[64],\"texts\":[\"a\"]}");
        assertEquals(List.of("random:seed=1"), sweep.policies());
        assertEquals(16, sweep.probeEvery());
        assertEquals("", sweep.note());
    }

    /** Text by text, context by context, policy by policy. */
    @Test
    void cellsAreInOrder() {
        List<Cell> cells = new Sweep(
                        List.of("recent", "indexer"), List.of(16, 8), List.of(64, 32), List.of("b", "a"), null, null)
                .cells();
        assertEquals(16, cells.size());
        assertEquals(new Cell("recent:sink=4", 16, 64, "b"), cells.get(0));
        assertEquals(new Cell("recent:sink=4", 8, 64, "b"), cells.get(1));
        assertEquals(new Cell("indexer", 16, 64, "b"), cells.get(2));
        assertEquals(new Cell("recent:sink=4", 16, 32, "b"), cells.get(4));
        assertEquals(new Cell("recent:sink=4", 16, 64, "a"), cells.get(8));
    }

    @Test
    void denseHasNoTopkAndTheRestNoSeed() {
        Sweep sweep = sweep(List.of("dense", "indexer", "random"), List.of(8, 16), List.of(64), List.of(1, 2, 3));
        assertEquals(1 + 2 + 3 * 2, sweep.cells().size());
        assertEquals(new Cell("dense", 0, 64, "text"), sweep.cells().getFirst());
        assertEquals(
                "dense is measured once, whatever k; seeds are tried with the policies that draw and name none",
                sweep.note());
    }

    @Test
    void aSeedThatIsGivenStays() {
        assertEquals(
                List.of("random:seed=7", "random:seed=1", "random:seed=2"),
                sweep(List.of("random:seed=7", "random"), List.of(8), List.of(64), List.of(1, 2)).policies());
    }

    @Test
    void duplicatesAreMeasuredOnce() {
        Sweep sweep = sweep(List.of("recent", "recent:sink=4", "recent"), List.of(8, 8), List.of(64, 64), null);
        assertEquals(List.of(new Cell("recent:sink=4", 8, 64, "text")), sweep.cells());
    }

    @Test
    void whereThereIsNothingToSelect() {
        Sweep sweep = sweep(List.of("dense", "indexer"), List.of(63, 64, 65), List.of(64, 128), null);
        assertEquals(
                List.of(new Cell("dense", 0, 64, "text"), new Cell("indexer", 63, 64, "text")),
                sweep.cells().subList(0, 2));
        assertEquals(2 + 1 + 3, sweep.cells().size());
        assertTrue(sweep.note().endsWith("(contexts [64])"), sweep.note());
        Sweep nothing = sweep(List.of("indexer"), List.of(64), List.of(64), null);
        assertTrue(assertThrows(EngineException.class, nothing::cells).isUsage());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "\"topk\": [8, 16] | \"topk\": [8, 0] | 2 | topk must be at least 1, not 0",
        "\"topk\": [8, 16] | \"topk\": [] | 2 | needs topk",
        "\"topk\": [8, 16], | '' | 2 | needs topk",
        "\"topk\": [8, 16] | \"topk\": [8, null] | 2 | topk must not hold null",
        "\"topk\": [8, 16] | \"topk\": [8, 1.5] | 1 | in topk",
        "\"topk\": [8, 16] | \"topk\": [8, \"16\"] | 1 | in topk",
        "\"topk\": [8, 16] | \"topk\": 8 | 1 | in topk",
        "\"topk\": [8, 16] | \"topk\": [99999999999] | 1 | in topk",
        "\"topk\" | \"top_k\" | 1 | 'top_k'",
        "[64, 128] | [1] | 2 | contexts must be at least 2",
        "[3, 4] | [-1] | 2 | seeds must be at least 0",
        "[3, 4] | [2000000000] | 2 | seed is '2000000000'",
        "[3, 4] | [] | 2 | needs seeds",
        "\"probe_every\": 2 | \"probe_every\": -1 | 2 | probe_every",
        "\"indexer\" | \"bogus\" | 2 | bogus is not known",
        "\"indexer\" | \"recent:sinks=4\" | 2 | 'sinks'",
        "[\"a.txt\", \"sub/b.txt\"] | [] | 2 | needs texts",
        "a.txt | a\\u0000b | 1 | no file can be",
        "} | '' | 1 | not valid JSON",
        "\"seeds\" | \"topk\" | 1 | Duplicate field 'topk'",
    })
    void mistakes(String found, String instead, int code, String named) {
        assertTrue(WHOLE.contains(found));
        EngineException e = assertThrows(EngineException.class, () -> read(WHOLE.replace(found, instead)));
        assertEquals(code == 2, e.isUsage(), e.getMessage());
        assertTrue(e.getMessage().contains(named) && e.getMessage().contains("sweep.json"), e.getMessage());
        assertTrue(e.getMessage().endsWith(".") && !e.getMessage().contains("Source"), e.getMessage());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"null | object", "[] | object", "5 | object", "'' | object"})
    void noObject(String json, String named) {
        String message = assertThrows(EngineException.class, () -> read(json)).getMessage();
        assertTrue(message.contains("sweep.json does not hold a JSON " + named), message);
    }
}
