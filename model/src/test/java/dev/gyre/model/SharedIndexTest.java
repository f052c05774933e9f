package dev.gyre.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.model.generate.ModelRunner;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Models of which only some layers run an indexer, against {@link NaiveModel}. */
class SharedIndexTest {
    private static final String FIELDS = """
            {"architectures": ["DeepseekV32ForCausalLM"], "index_topk_pattern": "FSSFS",
             "vocab_size": 61, "num_hidden_layers": 5, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
             "max_position_embeddings": 256, "hidden_size": 24, "num_attention_heads": 2, "q_lora_rank": 16,
             "kv_lora_rank": 20, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6, "index_n_heads": 3,
             "index_head_dim": 8, "index_topk": 6, "intermediate_size": 30, "first_k_dense_replace": 5}""";
    private static final String FREQ =
            "{\"index_topk_pattern\":null, \"index_topk_freq\":3, \"index_skip_topk_offset\":1}";
    private static final String TYPES = """
            {"indexer_types":["full","shared","shared","full","shared"], "index_topk_pattern":"FSSFSF",
             "index_topk_freq":3, "index_skip_topk_offset":1}""";

    @TempDir
    private Path folder;

    private final int[] prompt = new Random(8).ints(70, 0, 61).toArray();

    /** A model of whose shared layers only those named have weights of an indexer, which they do not use. */
    private RandomModel write(int... keep) throws IOException {
        RandomModel random = new RandomModel(FIELDS, 31);
        for (int layer : new int[] {1, 2, 4}) {
            String prefix = "model.layers." + layer + ".self_attn.indexer.";
            if (Arrays.stream(keep).noneMatch(kept -> kept == layer)) {
                random.weights.keySet().removeIf(name -> name.startsWith(prefix));
            }
        }
        random.write(folder);
        return random;
    }

    private ModelOptions options() {
        return ModelOptions.defaults().withModel(folder);
    }

    private void compare(NaiveModel naive, double[][] expected, ModelOptions options) {
        try (Model model = Model.open(options)) {
            for (int piece : new int[] {70, 1, 11}) {
                Recorded found = Recorded.run(model, prompt, piece);
                for (int t = 0; t < prompt.length; t++) {
                    for (int i = 0; i < 61; i++) {
                        assertEquals(expected[t][i], found.logits.get(t)[i], 1e-3, "position " + t + ", token " + i);
                    }
                    for (int layer = 0; layer < 5; layer++) {
                        assertArrayEquals(naive.selections.get(layer).get(t), found.selections.get(t).get(layer));
                    }
                }
            }
        }
    }

    @Test
    void withAndWithoutWeightsInSharedLayers() throws IOException {
        for (int[] keep : new int[][] {{}, {1, 2, 4}, {2}}) {
            NaiveModel naive = new NaiveModel(write(keep));
            double[][] expected = naive.logits(prompt);
            compare(naive, expected, options());
            compare(naive, expected, options().withConfigOverride(FREQ));
            compare(naive, expected, options().withConfigOverride(TYPES));
            // a probe wants indexers, but only those that the model is said to have
            compare(naive, expected, options().withMeasuredSelection(true));
        }
    }

    @Test
    void thePolicyDecidesWhereAllLayersHaveAnIndexer() throws IOException {
        NaiveModel naive = new NaiveModel(write(1, 2, 4));
        double[][] expected = naive.logits(prompt);
        String full = "{\"index_topk_pattern\":\"FFFFF\"}";
        compare(naive, expected, options().withConfigOverride(full).withSelectionPolicy("shared:freq=3,offset=1"));
        compare(naive, expected, options().withConfigOverride("""
                {"index_topk_pattern":"FFFFF", "selection_policy":"shared:freq=3,offset=1"}"""));
    }

    @Test
    void frequencyOneIsTheIndexer() throws IOException {
        write(1, 2, 4);
        ModelOptions full = options().withConfigOverride("{\"index_topk_pattern\":null}");
        try (Model indexer = Model.open(full);
                Model shared = Model.open(full.withSelectionPolicy("shared:freq=1"))) {
            Recorded expected = Recorded.run(indexer, prompt, 70);
            Recorded found = Recorded.run(shared, prompt, 70);
            for (int t = 0; t < prompt.length; t++) {
                assertArrayEquals(expected.logits.get(t), found.logits.get(t));
            }
        }
    }

    @Test
    void sharedLayersHaveNoIndexKeys() throws IOException {
        write(1, 2, 4);
        try (Model model = Model.open(options())) {
            assertEquals(List.of(8, 0, 0, 8, 0), model.cacheShapes().stream().map(shape -> shape.index()).toList());
            try (ModelRunner runner = model.runner(1, 64)) {
                assertEquals(List.of(true, false, false, true, false), IntStream.range(0, 5)
                        .mapToObj(layer -> runner.cache().indexKeys(layer) != null)
                        .toList());
            }
        }
    }

    @Test
    void anIndexerThatIsNeededAndMissing() throws IOException {
        write();
        EngineException missing = assertThrows(
                EngineException.class, () -> Model.open(options().withSelectionPolicy("shared:freq=2,offset=1")));
        assertTrue(missing.getMessage().contains("model.layers.2.self_attn.indexer.wq_b.weight"), missing.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "{\"index_topk_pattern\":\"FSS\"}", "{\"index_topk_pattern\":\"SFFFF\"}", "{\"index_topk_pattern\":\"FXSSF\"}",
        "{\"index_topk_pattern\":5}", "{\"indexer_types\":\"full\"}", "{\"indexer_types\":[\"full\"]}",
        "{\"indexer_types\":[\"shared\",\"full\",\"full\",\"full\",\"full\"]}",
        "{\"indexer_types\":[\"full\",\"full\",\"full\",\"full\",7]}",
        "{\"index_topk_pattern\":null,\"index_topk_freq\":0}",
        "{\"index_topk_pattern\":null,\"index_topk_freq\":2,\"index_skip_topk_offset\":0}",
        "{\"selection_policy\":7}", "{\"selection_policy\":\"bogus\"}",
    })
    void mistakes(String override) throws IOException {
        write(1, 2, 4);
        EngineException mistake = assertThrows(
                EngineException.class, () -> Model.open(options().withConfigOverride(override)));
        String field = override.contains("null") ? "index_" : override.substring(2, override.indexOf('"', 2));
        assertTrue(mistake.getMessage().contains(field.replace("selection_policy", "selection")), mistake.getMessage());
    }
}
