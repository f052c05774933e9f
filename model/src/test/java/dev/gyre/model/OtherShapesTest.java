package dev.gyre.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Random;

/**
 * Random models of shapes that no given checkpoint has, against {@link NaiveModel}: nothing is fitted to the given
 * ones.
 */
class OtherShapesTest {
    private static final String COMMON = """
            "vocab_size": 97, "num_hidden_layers": 2, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
            "max_position_embeddings": 256, "hidden_act": "silu", "bos_token_id": 0, "eos_token_id": 1,
            """;
    private static final String SPARSE = "\"architectures\": [\"DeepseekV32ForCausalLM\"],";
    private static final String DENSE = "\"architectures\": [\"DeepseekV3ForCausalLM\"],";

    @TempDir
    private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {
        // three heads, odd dimensions, one group, no dense layers, two shared experts, no normalisation
        SPARSE + COMMON + """
            "hidden_size": 45, "num_attention_heads": 3, "q_lora_rank": 31, "kv_lora_rank": 27, "qk_nope_head_dim": 13,
            "qk_rope_head_dim": 6, "v_head_dim": 11, "index_n_heads": 5, "index_head_dim": 9, "index_topk": 7,
            "intermediate_size": 33, "moe_intermediate_size": 19, "first_k_dense_replace": 0, "n_routed_experts": 5,
            "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "n_shared_experts": 2, "norm_topk_prob": false,
            "routed_scaling_factor": 1.7""",
        // groups of one expert, no shared expert, YaRN of other factors, tied embeddings
        SPARSE + COMMON + """
            "hidden_size": 40, "num_attention_heads": 5, "q_lora_rank": 24, "kv_lora_rank": 130, "qk_nope_head_dim": 8,
            "qk_rope_head_dim": 16, "v_head_dim": 24, "index_n_heads": 1, "index_head_dim": 132, "index_topk": 20,
            "intermediate_size": 24, "moe_intermediate_size": 16, "first_k_dense_replace": 1, "n_routed_experts": 4,
            "num_experts_per_tok": 1, "n_group": 4, "topk_group": 2, "n_shared_experts": 0, "norm_topk_prob": true,
            "routed_scaling_factor": 2.5, "tie_word_embeddings": true,
            "rope_scaling": {"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 24, "beta_fast": 8,
              "beta_slow": 1, "mscale": 0.7, "mscale_all_dim": 0.7}""",
        // dense, queries not compressed, only dense layers' MLPs
        DENSE + COMMON + """
            "hidden_size": 32, "num_attention_heads": 2, "q_lora_rank": null, "kv_lora_rank": 16, "qk_nope_head_dim": 8,
            "qk_rope_head_dim": 4, "v_head_dim": 6, "intermediate_size": 48, "first_k_dense_replace": 2,
            "rope_scaling": {"type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096, "beta_fast": 32,
              "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0}""",
    })
    void logitsAndSelections(String fields) throws IOException {
        RandomModel random = new RandomModel("{" + fields + "}", 20);
        random.write(folder);
        int[] prompt = new Random(21).ints(80, 0, 97).toArray();
        NaiveModel naive = new NaiveModel(random);
        double[][] expected = naive.logits(prompt);
        try (Model model = Model.open(ModelOptions.defaults().withModel(folder))) {
            for (int piece : new int[] {80, 9}) {
                Recorded found = Recorded.run(model, prompt, piece);
                for (int t = 0; t < prompt.length; t++) {
                    for (int i = 0; i < 97; i++) {
                        assertEquals(expected[t][i], found.logits.get(t)[i], 1e-3, "position " + t + ", token " + i);
                    }
                    for (int layer = 0; layer < 2; layer++) {
                        assertArrayEquals(naive.selections.get(layer).get(t), found.selections.get(t).get(layer));
                    }
                }
            }
        }
    }
}
