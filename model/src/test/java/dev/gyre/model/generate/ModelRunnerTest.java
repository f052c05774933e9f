package dev.gyre.model.generate;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.model.Cases;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.List;

/** Sequences, their pages, and what is refused. */
class ModelRunnerTest {
    private static final int CONTEXT = 200;
    private static Model model;

    @BeforeAll
    static void open() {
        model = Model.open(ModelOptions.defaults()
                .withModel(Cases.folder("/golden/v32-yarn"))
                .withConfigOverride("{\"max_position_embeddings\":" + CONTEXT + "}")
                .withChunks(9, 1 << 20));
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static int[] tokens(int count) {
        int[] tokens = new int[count];
        Arrays.setAll(tokens, i -> i * 7 % model.config().vocabulary());
        return tokens;
    }

    private static float[] last(ModelRunner runner, Sequence sequence, int[] tokens) {
        float[][] found = new float[1][];
        runner.run(List.of(sequence), new int[][] {tokens}, ModelRunner.Wanted.LAST, (s, position, logits, at) -> {
            assertEquals(sequence.length() - 1, position);
            found[0] = Arrays.copyOfRange(logits, at, at + model.config().vocabulary());
        });
        return found[0];
    }

    private static void discard(int sequence, int position, float[] logits, int at) {}

    @Test
    void pagesComeBack() {
        try (ModelRunner runner = model.runner(3, 64)) {
            assertEquals(3, runner.cache().pool().available());
            Sequence one = runner.start();
            Sequence two = runner.start();
            int[][] prompts = {tokens(65), tokens(1)};
            runner.run(List.of(one, two), prompts, ModelRunner.Wanted.LAST, ModelRunnerTest::discard);
            assertEquals(0, runner.cache().pool().available());
            assertEquals(List.of(65, 1), List.of(one.length(), two.length()));
            runner.end(one);
            assertEquals(2, runner.cache().pool().available());
            runner.end(two);
            assertEquals(3, runner.cache().pool().available());
        }
    }

    /** Pages that another sequence has used give what fresh ones give. */
    @Test
    void usedPagesAreAsGoodAsFresh() {
        try (ModelRunner runner = model.runner(1, 128)) {
            Sequence first = runner.start();
            float[] fresh = last(runner, first, tokens(70));
            runner.end(first);
            Sequence random = runner.start();
            runner.fill(random, 128, 1);
            runner.end(random);
            assertArrayEquals(fresh, last(runner, runner.start(), tokens(70)));
        }
    }

    @Test
    void wantedPositionsInOrder() {
        try (ModelRunner runner = model.runner(2, 64)) {
            StringBuilder seen = new StringBuilder();
            runner.run(List.of(runner.start(), runner.start()), new int[][] {tokens(20), tokens(5)},
                    (s, position, last) -> position % 8 == 3 || position == last,
                    (s, position, logits, at) -> seen.append(s).append(':').append(position).append(' '));
            assertEquals("0:3 0:11 0:19 1:3 1:4 ", seen.toString());
        }
    }

    /** What is refused changes nothing: the next run gives what it gives without the refusals. */
    @Test
    void refusalsLeaveSequencesUnchanged() {
        try (ModelRunner runner = model.runner(2, CONTEXT)) {
            Sequence plain = runner.start();
            last(runner, plain, tokens(30));
            float[] expected = last(runner, plain, new int[] {5});
            runner.end(plain);

            Sequence sequence = runner.start();
            last(runner, sequence, tokens(30));
            Sequence other = runner.start();
            int free = runner.cache().pool().available();
            int vocabulary = model.config().vocabulary();
            refused(runner, sequence, other, tokens(CONTEXT - 29), "201 tokens", "context of 200", "--context-length");
            refused(runner, sequence, other, new int[] {1, vocabulary},
                    "token " + vocabulary, "0 to " + (vocabulary - 1));
            refused(runner, sequence, other, new int[] {-1}, "token -1 is not in the vocabulary");
            refused(runner, sequence, other, new int[0], "no tokens");
            assertSays(() -> runner.fill(sequence, CONTEXT - 29, 1), "depth of 171", "context of 200");
            assertEquals(30, sequence.length());
            assertEquals(free, runner.cache().pool().available());
            assertArrayEquals(expected, last(runner, sequence, new int[] {5}));
        }
    }

    private static void refused(ModelRunner runner, Sequence sequence, Sequence other, int[] tokens, String... says) {
        assertSays(() -> runner.run(List.of(other, sequence), new int[][] {{1}, tokens}, ModelRunner.Wanted.LAST,
                ModelRunnerTest::discard), says);
        assertEquals(0, other.length());
        assertEquals(30, sequence.length());
    }

    @Test
    void fullCache() {
        try (ModelRunner runner = model.runner(1, 64)) {
            Sequence sequence = runner.start();
            assertSays(() -> last(runner, sequence, tokens(65)), "KV cache is full", "1 of 1");
            assertEquals(0, sequence.length());
            last(runner, sequence, tokens(64));
            assertSays(() -> last(runner, sequence, tokens(1)), "KV cache is full", "0 of 1");
            assertEquals(64, sequence.length());
        }
    }

    @Test
    void contextCanBeFilledToTheEnd() {
        try (ModelRunner runner = model.runner(1, CONTEXT)) {
            Sequence sequence = runner.start();
            runner.fill(sequence, CONTEXT - 1, 3);
            last(runner, sequence, tokens(1));
            assertEquals(CONTEXT, sequence.length());
            assertSays(() -> last(runner, sequence, tokens(1)), "longer than the context of 200");
        }
    }

    /** Filled caches hold finite numbers that the seed decides. */
    @Test
    void fill() {
        try (ModelRunner runner = model.runner(3, 128)) {
            float[][] logits = new float[3][];
            for (int i = 0; i < 3; i++) {
                Sequence sequence = runner.start();
                runner.fill(sequence, 100, i == 2 ? 8 : 7);
                assertEquals(100, sequence.length());
                logits[i] = last(runner, sequence, new int[] {4});
                assertEquals(101, sequence.length());
                for (float logit : logits[i]) {
                    assertTrue(Float.isFinite(logit));
                }
            }
            assertArrayEquals(logits[0], logits[1]);
            assertFalse(Arrays.equals(logits[0], logits[2]));
        }
    }
}
