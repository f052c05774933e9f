package dev.gyre.model;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.hisparse.HiSparseOptions;
import dev.gyre.attention.hisparse.HiSparseStats;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.EngineOptions;
import dev.gyre.model.engine.GenerationRequest;
import dev.gyre.model.engine.StreamEvent;
import dev.gyre.model.engine.TokenStream;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.SamplingOptions;
import dev.gyre.model.generate.Sequence;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;

/** Whole models whose attention reads hot latents, against the same models with one cache of all: the same bits. */
class HiSparseModelTest {
    private static final int TOPK = 40;
    private static final int LENGTH = 150;

    @TempDir
    private Path folder;

    private static ModelOptions plain() {
        return ModelOptions.defaults().withIndexTopk(TOPK).withChunks(64, 1 << 20);
    }

    private static int[] words(int count, int seed) {
        return new Random(seed).ints(count, 100, 4000).toArray();
    }

    private void assertNoFiles() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(), files.toList());
        }
    }

    /** A prompt at once, in chunks, and token by token; the store in memory and in a file. */
    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void logitsAndSelections(CacheDtype dtype) throws IOException {
        int[] prompt = words(LENGTH, 5);
        List<HiSparseOptions> splits = List.of(
                HiSparseOptions.of(TOPK), HiSparseOptions.of(90), HiSparseOptions.of(90).withDirectory(folder));
        ModelOptions options = plain().withCacheDtype(dtype);
        Recorded expected;
        try (Model model = Model.open(options)) {
            expected = Recorded.run(model, prompt, LENGTH);
            assertEquals(Map.of(), model.hiSparseStats());
        }
        for (HiSparseOptions split : splits) {
            try (Model model = Model.open(options.withHiSparse(split))) {
                for (int piece : new int[] {LENGTH, 33, 1}) {
                    assertSame(expected, Recorded.run(model, prompt, piece));
                }
                HiSparseStats decode = model.hiSparseStats().get(Phase.DECODE);
                assertTrue(decode.hitRate() > 0.3 && decode.hitRate() < 1, decode.toString());
                assertTrue(decode.evictions() > 0, decode.toString());
                assertTrue(model.hiSparseStats().get(Phase.PREFILL).hits() > 0);
            }
            assertNoFiles();
        }
    }

    private static void assertSame(Recorded expected, Recorded found) {
        for (int t = 0; t < LENGTH; t++) {
            assertArrayEquals(expected.logits.get(t), found.logits.get(t), "position " + t);
            for (int layer : expected.selections.get(t).keySet()) {
                assertArrayEquals(expected.selections.get(t).get(layer), found.selections.get(t).get(layer));
            }
        }
    }

    /** Sequences of different lengths in the same steps, some of which end while others go on. */
    @Test
    void batches() {
        int[] lengths = {210, 45, 130};
        List<float[]> expected = batch(plain(), lengths);
        List<float[]> found = batch(plain().withHiSparse(HiSparseOptions.of(50)), lengths);
        for (int i = 0; i < expected.size(); i++) {
            assertArrayEquals(expected.get(i), found.get(i), "result " + i);
        }
    }

    private static List<float[]> batch(ModelOptions options, int... lengths) {
        List<float[]> results = new ArrayList<>();
        try (Model model = Model.open(options); ModelRunner runner = model.runner(4, 300)) {
            List<Sequence> sequences = new ArrayList<>();
            int[][] prompts = new int[lengths.length][];
            for (int i = 0; i < lengths.length; i++) {
                sequences.add(runner.start());
                prompts[i] = words(lengths[i], i);
            }
            ModelRunner.Sink sink = (s, position, logits, at) ->
                    results.add(Arrays.copyOfRange(logits, at, at + model.config().vocabulary()));
            runner.run(sequences, prompts, ModelRunner.Wanted.LAST, sink);
            for (int step = 0; step < 40; step++) {
                int token = 100 + step;
                if (step % 10 == 9) { // another takes the place of the first
                    runner.end(sequences.removeFirst());
                    sequences.add(runner.start());
                }
                int[][] next = new int[sequences.size()][];
                Arrays.setAll(next, s -> new int[] {token + s});
                runner.run(sequences, next, ModelRunner.Wanted.LAST, sink);
            }
        }
        return results;
    }

    /** Many requests with common beginnings, in caches so small that pages are given up and used again. */
    @Test
    void serving() throws Exception {
        List<int[]> expected = serve(plain(), 0);
        List<int[]> found = serve(plain().withHiSparse(HiSparseOptions.of(64).withDirectory(folder)), 1);
        for (int i = 0; i < expected.size(); i++) {
            assertArrayEquals(expected.get(i), found.get(i), "request " + i);
        }
        assertNoFiles();
    }

    private static List<int[]> serve(ModelOptions options, int least) throws InterruptedException {
        GenerationOptions greedy = new GenerationOptions(20, SamplingOptions.GREEDY, List.of(), Set.of(), true);
        EngineOptions small = EngineOptions.defaults().withMaxTotalTokens(1024).withMaxRunning(5);
        List<int[]> answers = new ArrayList<>();
        try (Engine engine = Engine.create(small.withModel(options.withContextLength(512)))) {
            for (int round = 0; round < 2; round++) {
                List<TokenStream> streams = new ArrayList<>();
                for (int i = 0; i < 20; i++) {
                    int[] prompt = words(i % 3 == 0 ? 230 : 150, 1);
                    System.arraycopy(words(50, i % 7), 0, prompt, 90, 50);
                    streams.add(engine.submit(GenerationRequest.of(prompt, greedy)));
                }
                for (TokenStream stream : streams) {
                    answers.add(end(stream));
                }
            }
            assertTrue(engine.stats().evictedPages() > 0);
            long selected = engine.model().hiSparseStats().values().stream().mapToLong(HiSparseStats::selected).sum();
            assertTrue(selected >= least, "hot latents were used");
        }
        return answers;
    }

    private static int[] end(TokenStream stream) throws InterruptedException {
        while (true) {
            switch (stream.next()) {
                case StreamEvent.Token token -> { }
                case StreamEvent.End end -> {
                    assertTrue(end.generation().promptTokens() > 0);
                    return end.generation().outputIds();
                }
                case StreamEvent.Failed failed -> throw new AssertionError(failed.toString());
            }
        }
    }

    @Test
    void whatDoesNotGoTogether() throws IOException {
        ModelOptions split = plain().withHiSparse(HiSparseOptions.of(TOPK));
        assertSays(() -> Model.open(plain().withHiSparse(HiSparseOptions.of(TOPK - 1))), "at least 40");
        assertSays(() -> Model.open(split.withAttention("dense", Map.of())), "dense");
        assertSays(() -> Model.open(split.withSelectionPolicy("dense")), "dense");
        assertSays(() -> Model.open(ModelOptions.defaults()
                .withModel(Cases.folder("/golden/v3-dense-attention"))
                .withHiSparse(HiSparseOptions.of(1))), "dense");
        Path file = Files.createFile(folder.resolve("file"));
        for (Path wrong : List.of(file, folder.resolve("nothing"))) {
            try (Model model = Model.open(plain().withHiSparse(HiSparseOptions.of(TOPK).withDirectory(wrong)))) {
                assertSays(() -> model.runner(1, 64), "--hisparse-dir " + wrong);
            }
        }
        Files.delete(file);
        try (Model model = Model.open(plain().withHiSparse(HiSparseOptions.of(TOPK).withDirectory(folder)))) {
            assertSays(() -> model.runner(1, 1 << 30), "the latents need", "free");
        }
        assertNoFiles();
    }
}
