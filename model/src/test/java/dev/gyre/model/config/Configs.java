package dev.gyre.model.config;

import java.nio.charset.StandardCharsets;

/** Configurations for tests. */
public final class Configs {
    /** DeepSeek-V3.2's config.json. */
    public static final String V32 = """
            {"architectures": ["DeepseekV32ForCausalLM"], "hidden_size": 7168, "num_hidden_layers": 61,
             "num_attention_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
             "qk_rope_head_dim": 64, "v_head_dim": 128, "index_n_heads": 64, "index_head_dim": 128, "index_topk": 2048,
             "first_k_dense_replace": 3, "intermediate_size": 18432, "moe_intermediate_size": 2048,
             "n_routed_experts": 256, "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "n_shared_experts": 1,
             "routed_scaling_factor": 2.5, "norm_topk_prob": true, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
             "vocab_size": 129280, "rms_norm_eps": 1e-6, "rope_theta": 10000, "max_position_embeddings": 163840,
             "rope_scaling": {"type": "yarn", "factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0,
               "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096},
             "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
               "weight_block_size": [128, 128], "scale_fmt": "ue8m0"},
             "num_nextn_predict_layers": 1, "hidden_act": "silu", "attention_bias": false, "moe_layer_freq": 1,
             "tie_word_embeddings": false, "eos_token_id": 1}""";

    /** GLM-5's config.json. */
    public static final String GLM = """
            {"architectures": ["GlmMoeDsaForCausalLM"], "model_type": "glm_moe_dsa", "hidden_size": 6144,
             "num_hidden_layers": 78, "num_attention_heads": 64, "num_key_value_heads": 64, "q_lora_rank": 2048,
             "kv_lora_rank": 512, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256,
             "index_n_heads": 32, "index_head_dim": 128, "index_topk": 2048, "first_k_dense_replace": 3, "intermediate_size": 12288,
             "moe_intermediate_size": 2048, "n_routed_experts": 256, "num_experts_per_tok": 8, "n_group": 1,
             "topk_group": 1, "n_shared_experts": 1, "routed_scaling_factor": 2.5, "norm_topk_prob": true,
             "vocab_size": 154880, "rms_norm_eps": 1e-5, "max_position_embeddings": 202752,
             "rope_parameters": {"rope_theta": 1000000, "rope_type": "default"}, "num_nextn_predict_layers": 1,
             "hidden_act": "silu", "attention_bias": false, "tie_word_embeddings": false}""";

    private Configs() {}

    /** The fields of a config.json. */
    public static Fields fields(String json) {
        return Fields.parse(json.getBytes(StandardCharsets.UTF_8), "folder: config.json");
    }

    /** DeepSeek-V3.2's with other fields laid over it. */
    public static ModelConfig v32(String over) {
        return ConfigReader.read(fields(V32).merge(fields(over)), Family.DEEPSEEK_V32);
    }
}
