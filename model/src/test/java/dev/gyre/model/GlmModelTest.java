package dev.gyre.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

/**
 * Random models of GLM-5's architecture against {@link NaiveModel}. Their rms_norm_eps is so large that a norm with
 * another one is seen; values are as wide as keys, experts are in one group, and layers that share a selection have no
 * weights of an indexer, as in the published checkpoints.
 */
class GlmModelTest {
    private static final String GLM = """
            "architectures": ["GlmMoeDsaForCausalLM"], "vocab_size": 89, "rms_norm_eps": 0.03, "hidden_act": "silu",
            "rope_parameters": {"rope_theta": 1000000, "rope_type": "default"}, "max_position_embeddings": 256,
            "n_group": 1, "topk_group": 1, "n_shared_experts": 1, "norm_topk_prob": true, "scoring_func": "sigmoid",
            "topk_method": "noaux_tc", "routed_scaling_factor": 2.5, "moe_layer_freq": 1, "attention_bias": false,
            """;
    private static final String SMALL = """
            "hidden_size": 40, "num_attention_heads": 4, "q_lora_rank": 28, "kv_lora_rank": 24, "qk_nope_head_dim": 18,
            "qk_rope_head_dim": 6, "v_head_dim": 24, "index_n_heads": 3, "index_head_dim": 10, "index_topk": 9,
            "intermediate_size": 50, "moe_intermediate_size": 22, "first_k_dense_replace": 2, "n_routed_experts": 7,
            "num_experts_per_tok": 3,
            """;

    @TempDir
    private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {
        // GLM-5: every layer has its indexer
        SMALL + "\"num_hidden_layers\": 3, \"indexer_rope_interleave\": true",
        // GLM-5.2: a word for each layer
        SMALL + """
            "num_hidden_layers": 6, "indexer_types": ["full", "full", "shared", "shared", "full", "shared"]""",
        // the same schedule as numbers, with an offset, and with the default offset
        SMALL + "\"num_hidden_layers\": 7, \"index_topk_freq\": 3, \"index_skip_topk_offset\": 3",
        SMALL + "\"num_hidden_layers\": 5, \"index_topk_freq\": 2",
        // one that does not interleave says so
        SMALL + "\"num_hidden_layers\": 2, \"indexer_rope_interleave\": false",
        // the head dimensions as published
        """
            "hidden_size": 32, "num_attention_heads": 2, "q_lora_rank": 64, "kv_lora_rank": 512,
            "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256, "index_n_heads": 32, "index_head_dim": 128, "index_topk": 20,
            "intermediate_size": 24, "moe_intermediate_size": 16, "first_k_dense_replace": 1, "n_routed_experts": 16,
            "num_experts_per_tok": 8, "num_hidden_layers": 3, "indexer_types": ["full", "shared", "full"]""",
    })
    void logitsAndSelections(String fields) throws IOException {
        RandomModel random = new RandomModel("{" + GLM + fields + "}", 60);
        int layers = random.number("num_hidden_layers");
        int[] prompt = new Random(61).ints(60, 0, 89).toArray();
        NaiveModel naive = new NaiveModel(random);
        double[][] expected = naive.logits(prompt);
        for (int layer = 1; layer < layers; layer++) {
            if (naive.isShared(layer)) {
                String prefix = "model.layers." + layer + ".self_attn.indexer.";
                assertTrue(random.weights.keySet().removeIf(name -> name.startsWith(prefix)));
            }
        }
        random.write(folder);
        try (Model model = Model.open(ModelOptions.defaults().withModel(folder))) {
            for (int piece : new int[] {60, 7, 1}) {
                Recorded found = Recorded.run(model, prompt, piece);
                for (int t = 0; t < prompt.length; t++) {
                    for (int i = 0; i < 89; i++) {
                        assertEquals(expected[t][i], found.logits.get(t)[i], 1e-3, "position " + t + ", token " + i);
                    }
                    for (int layer = 0; layer < layers; layer++) {
                        assertArrayEquals(naive.selections.get(layer).get(t), found.selections.get(t).get(layer));
                    }
                }
            }
            int[] continuation = Recorded.greedyContinuation(model, prompt, 10);
            int[] whole = Arrays.copyOf(prompt, 70);
            System.arraycopy(continuation, 0, whole, 60, 10);
            double[][] logits = new NaiveModel(random).logits(whole);
            for (int i = 0; i < 10; i++) {
                double[] last = logits[59 + i];
                assertEquals(Arrays.stream(last).max().orElseThrow(), last[continuation[i]], "token " + i);
            }
        }
    }
}
