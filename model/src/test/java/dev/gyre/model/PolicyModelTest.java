package dev.gyre.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.policy.SelectionPolicies;
import dev.gyre.model.generate.Perplexity;
import dev.gyre.model.research.LayerStats;
import dev.gyre.model.research.SelectionOverlap;
import dev.gyre.model.research.SelectionProbe;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Whole models with other selection policies than their own, and what is measured of them. */
class PolicyModelTest {
    private static final int CONTEXT = 400;
    private static final int[] TEXT = text();

    private static int[] text() {
        try (Model model = Model.open(ModelOptions.defaults())) {
            String text = Files.readString(Path.of("../models/tiny-v32/heldout.txt"));
            return Arrays.copyOf(model.tokenizer().encodeWithBos(text), CONTEXT);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static ModelOptions options(String policy, int topk) {
        return ModelOptions.defaults().withSelectionPolicy(policy).withIndexTopk(topk);
    }

    private static List<LayerStats> measure(ModelOptions options, int every) {
        try (Model model = Model.open(options.withMeasuredSelection(true))) {
            SelectionProbe probe = new SelectionProbe(model, every);
            Perplexity.measure(model, TEXT, CONTEXT, done -> {}, probe);
            return probe.layers();
        }
    }

    /** With room for all tokens every policy gives the logits of dense attention, to the bit. */
    @Test
    void allTokensAreDenseAttention() {
        float[] expected;
        try (Model dense = Model.open(ModelOptions.defaults().withAttention("dense", Map.of()))) {
            expected = Recorded.run(dense, TEXT, CONTEXT).logits.get(CONTEXT - 1);
        }
        for (String known : SelectionPolicies.known()) {
            String policy = known.replace("heads=8", "heads=2"); // the model has four
            try (Model model = Model.open(options(policy, CONTEXT))) {
                assertArrayEquals(expected, Recorded.run(model, TEXT, CONTEXT).logits.get(CONTEXT - 1), policy);
                assertEquals(policy, model.selectionPolicy().spec());
            }
        }
    }

    /** A prompt at once, in chunks, and token by token are the same, to the bit. */
    @Test
    void piecesDoNotMatter() {
        for (String policy : List.of("hisa:block=64,blocks=2", "misa:heads=1,block=64", "oracle", "recent", "random",
                "shared:freq=2")) {
            try (Model model = Model.open(options(policy, 40))) {
                Recorded expected = Recorded.run(model, TEXT, CONTEXT);
                for (int piece : new int[] {1, 33}) {
                    Recorded found = Recorded.run(model, TEXT, piece);
                    for (int t = 0; t < CONTEXT; t++) {
                        assertArrayEquals(expected.logits.get(t), found.logits.get(t), policy + " at " + t);
                    }
                }
            }
        }
    }

    @Test
    void theOracleKeepsTheMostMassAndTheIndexerRecallsItself() {
        List<LayerStats> oracle = measure(options("oracle", 40), 1);
        for (String policy : List.of("indexer", "hisa:block=64,blocks=2", "misa:heads=1,block=64", "recent:sink=4",
                "random:seed=1", "shared:freq=4,offset=1", "dense")) {
            List<LayerStats> stats = measure(options(policy, 40), 1);
            for (LayerStats layer : stats) {
                String where = policy + ": " + layer + ", " + oracle.get(layer.layer());
                assertEquals(CONTEXT - 40, layer.rows(), where);
                // the layers before see the same only in layer 0
                if (layer.layer() == 0 && !policy.equals("dense")) {
                    assertTrue(layer.mass() < oracle.getFirst().mass(), where);
                }
                boolean exact = policy.equals("indexer") || policy.equals("dense")
                        || policy.startsWith("shared") && layer.layer() == 0;
                assertEquals(exact, layer.recall() == 1, where);
                assertTrue(layer.recall() > 0.05 && layer.recall() <= 1, where);
                assertEquals(policy.equals("dense") ? 1 : layer.mass(), layer.mass(), 1e-5, where);
                assertTrue(layer.mass() > 0.05 && layer.mass() <= 1.00001, where);
            }
        }
    }

    /** Of random tokens as many are the indexer's as chance says: 40 / n at position n - 1. */
    @Test
    void randomRecallIsWhatChanceSays() {
        double expected = 0;
        for (int visible = 41; visible <= CONTEXT; visible++) {
            expected += 40.0 / visible / (CONTEXT - 40);
        }
        for (LayerStats layer : measure(options("random", 40), 1)) {
            assertEquals(expected, layer.recall(), 0.03 * expected, layer.toString());
        }
    }

    @Test
    void everyNthRow() {
        List<LayerStats> all = measure(options("recent", 40), 1);
        List<LayerStats> some = measure(options("recent", 40), 3);
        for (int layer = 0; layer < all.size(); layer++) {
            assertEquals(120, some.get(layer).rows()); // positions 42, 45, ... 399
            assertEquals(all.get(layer).mass(), some.get(layer).mass(), 0.05);
            assertEquals(all.get(layer).recall(), some.get(layer).recall(), 0.05);
        }
    }

    @Test
    void whatCannotBeMeasured() {
        ModelOptions options = options("recent", 40);
        try (Model model = Model.open(options)) {
            SelectionProbe probe = new SelectionProbe(model, 1);
            assertTrue(Double.isNaN(probe.layers().getFirst().mass()));
            Perplexity.measure(model, TEXT, CONTEXT, done -> {}, probe);
            assertTrue(Double.isNaN(probe.layers().getFirst().recall())); // its indexers did not run
            assertTrue(probe.layers().getFirst().mass() > 0);
            assertThrows(EngineException.class, () -> new SelectionProbe(model, 0));
        }
        ModelOptions dense = ModelOptions.defaults().withModel(Cases.folder("/golden/v3-dense-attention"));
        try (Model model = Model.open(dense)) {
            assertThrows(EngineException.class, () -> new SelectionProbe(model, 1));
        }
        assertThrows(EngineException.class, () -> Model.open(dense.withSelectionPolicy("recent")));
    }

    /** A window of 40 moves by one token a step, and all layers have the same. */
    @Test
    void overlapOfWindows() {
        try (Model model = Model.open(options("recent:sink=0", 40).withChunks(70, 1 << 20))) {
            SelectionOverlap overlap = new SelectionOverlap(4, 40);
            Perplexity.measure(model, TEXT, CONTEXT, done -> {}, overlap);
            assertEquals(CONTEXT - 40, overlap.rows());
            for (int layer = 0; layer < 4; layer++) {
                assertEquals(39.0 / 40, overlap.betweenSteps()[layer], 1e-9);
                assertArrayEquals(new double[] {1, 1, 1, 1}, overlap.betweenLayers()[layer], 1e-9);
            }
        }
    }

    @Test
    void overlapOfOthersIsWithinBounds() {
        try (Model model = Model.open(options("random", 40))) {
            SelectionOverlap overlap = new SelectionOverlap(4, 40);
            Perplexity.measure(model, TEXT, CONTEXT, done -> {}, overlap);
            double[][] layers = overlap.betweenLayers();
            for (int one = 0; one < 4; one++) {
                for (int other = 0; other < 4; other++) {
                    assertEquals(layers[one][other], layers[other][one]);
                    assertTrue(one == other ? layers[one][other] == 1 : layers[one][other] < 0.4);
                }
                assertTrue(overlap.betweenSteps()[one] < 0.4); // each draws anew: the sum of 40 / n
            }
        }
    }
}
