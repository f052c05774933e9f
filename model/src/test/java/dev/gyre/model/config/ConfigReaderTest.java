package dev.gyre.model.config;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.policy.IndexSharing;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** config.json: DeepSeek-V3.2's is read right, and whatever is wrong in one is a sentence with file and field. */
class ConfigReaderTest {
    @Test
    void deepSeekV32() {
        ModelConfig config = Configs.v32("{}");
        assertEquals("DeepseekV32ForCausalLM", config.architecture());
        assertEquals(new ModelConfig.Mla(128, 1536, 512, 128, 64, 128, true, 1e-6f), config.mla());
        assertEquals(192, config.mla().query());
        assertEquals(new ModelConfig.Indexer(64, 128, 2048, false, IndexSharing.none(61)), config.indexer());
        assertEquals(new ModelConfig.Moe(3, 1, 256, 8, 8, 4, 2048, 1, true, 2.5f), config.moe());
        assertEquals(List.of(129280, 7168, 61, 1, 18432), List.of(config.vocabulary(), config.hidden(),
                config.layers(), config.mtpLayers(), config.intermediate()));
        assertEquals(163840, config.maxPositions());
        assertEquals(1e-6f, config.normEps());
        assertEquals(128, config.blockRows());
        assertFalse(config.tiedEmbeddings());
        // 0.1 ln 40 + 1 = 1.3688879, squared; the factors on cos and sin cancel
        assertEquals(0.1352337f, config.softmaxScale(), 1e-7f);
        assertEquals(new ModelConfig.Yarn(40, 4096, 32, 1, true, 1, config.rope().yarn().scoreFactor()),
                config.rope().yarn());
        assertEquals(Math.pow(0.1 * Math.log(40) + 1, 2), config.rope().yarn().scoreFactor(), 1e-12);
    }

    @Test
    void layersThatHaveExperts() {
        ModelConfig config = Configs.v32("{\"moe_layer_freq\":2}");
        assertEquals(List.of(false, false, false, false, true, false, true),
                List.of(0, 1, 2, 3, 4, 5, 6).stream().map(config::isMoe).toList());
        assertFalse(Configs.v32("{\"n_routed_experts\":null}").isMoe(5));
        assertNull(Configs.v32("{\"n_routed_experts\":null}").moe());
    }

    private static String types(String first, int count, String then, int layers) {
        return IntStream.range(0, layers)
                .mapToObj(layer -> '"' + (layer < count ? first : then) + '"')
                .collect(Collectors.joining(",", "[", "]"));
    }

    /** GLM says of every layer whether it has experts; behind them may stand one for multi-token prediction. */
    @Test
    void layersThatHaveExpertsByName() {
        for (String also : List.of("\"first_k_dense_replace\":null", "\"first_k_dense_replace\":2")) {
            ModelConfig config = Configs.v32("{" + also + ",\"moe_layer_freq\":null,\"mlp_layer_types\":"
                    + types("dense", 2, "sparse", 62) + "}");
            assertEquals(List.of(false, false, true, true), IntStream.range(0, 4).mapToObj(config::isMoe).toList());
        }
        assertFalse(Configs.v32("{\"first_k_dense_replace\":99,\"mlp_layer_types\":" + types("dense", 61, "", 61) + "}")
                .isMoe(60));
        String sparse = "{\"first_k_dense_replace\":null,\"mlp_layer_types\":";
        assertSays(() -> Configs.v32("{\"mlp_layer_types\":" + types("dense", 2, "sparse", 61) + "}"),
                "first_k_dense_replace must be the number of dense layers in mlp_layer_types, 2, found 3");
        assertSays(() -> Configs.v32(sparse + types("sparse", 1, "dense", 61) + "}"), "all dense ones first");
        assertSays(() -> Configs.v32(sparse + types("dense", 1, "moe", 61) + "}"), "of \"dense\" and \"sparse\"");
        assertSays(() -> Configs.v32(sparse + types("dense", 1, "sparse", 60) + "}"), "each of the 61 layers");
        assertSays(() -> Configs.v32(sparse + types("dense", 1, "sparse", 61) + ",\"moe_layer_freq\":2}"),
                "moe_layer_freq must be 1");
    }

    /** Which layers run their indexer may be said in three ways, but not in different ways. */
    @Test
    void layersThatRunTheirIndexer() {
        String types = "\"indexer_types\":" + types("full", 1, "shared", 61);
        String pattern = "\"index_topk_pattern\":\"F" + "S".repeat(60) + "\"";
        String freq = "\"index_topk_freq\":61,\"index_skip_topk_offset\":1";
        for (String said : List.of(types, pattern, freq, types + "," + pattern + "," + freq)) {
            assertEquals(new IndexSharing("F" + "S".repeat(60)), Configs.v32("{" + said + "}").indexer().sharing());
        }
        String other = "\"index_topk_pattern\":\"" + "F".repeat(61) + "\"";
        assertSays(() -> Configs.v32("{" + types + "," + other + "}"),
                "index_topk_pattern must be as indexer_types has it, FSSS");
        assertSays(() -> Configs.v32("{" + types + ",\"index_topk_freq\":1}"),
                "index_topk_freq must be as indexer_types has it, FSSS");
        assertSays(() -> Configs.v32("{" + other + "," + freq + "}"),
                "index_topk_freq must be as index_topk_pattern has it, FFFF");
    }

    /** Sparse: the architecture is one with an indexer, and index_topk is there. */
    @Test
    void sparseOrDense() {
        Fields with = Configs.fields(Configs.V32);
        Fields without = with.merge(Configs.fields("{\"index_topk\":null}"));
        assertTrue(ConfigReader.read(with, Family.DEEPSEEK_V32).isSparse());
        assertFalse(ConfigReader.read(without, Family.DEEPSEEK_V32).isSparse());
        assertFalse(ConfigReader.read(with, Family.DEEPSEEK_V3).isSparse());
        assertFalse(ConfigReader.read(without, Family.DEEPSEEK_V3).isSparse());
    }

    /** What GLM-5 has otherwise than DeepSeek-V3.2, by itself and where its fields say so. */
    @Test
    void glm5() {
        Fields fields = Configs.fields(Configs.GLM);
        ModelConfig config = ConfigReader.read(fields, Family.GLM_MOE_DSA);
        assertEquals(new ModelConfig.Mla(64, 2048, 512, 192, 64, 256, true, 1e-5f), config.mla());
        assertEquals(new ModelConfig.Indexer(32, 128, 2048, true, IndexSharing.none(78)), config.indexer());
        assertEquals(new ModelConfig.Moe(3, 1, 256, 8, 1, 1, 2048, 1, true, 2.5f), config.moe());
        assertEquals(new ModelConfig.Rope(1000000, null), config.rope());
        assertEquals(1e-5f, config.normEps());
        assertEquals(0.0625f, config.softmaxScale());
        assertFalse(ConfigReader.read(
                fields.merge(Configs.fields("{\"indexer_rope_interleave\":false}")), Family.GLM_MOE_DSA)
                .indexer()
                .interleaved());
        // its 5.2 shares: layers 0, 1, 2, 6, 10, ... run their indexer
        Fields shared = fields.merge(Configs.fields("{\"index_topk_freq\":4, \"index_skip_topk_offset\":3}"));
        assertEquals(
                new IndexSharing("FFF" + "SSSF".repeat(18) + "SSS"),
                ConfigReader.read(shared, Family.GLM_MOE_DSA).indexer().sharing());
        // and DeepSeek's norms on compressed vectors keep theirs
        assertEquals(1e-6f, Configs.v32("{\"rms_norm_eps\":1e-5}").mla().normEps());
    }

    @Test
    void defaults() {
        ModelConfig config = Configs.v32("""
                {"q_lora_rank":null, "index_topk":null, "n_group":null, "topk_group":null, "n_shared_experts":null,
                 "routed_scaling_factor":null, "norm_topk_prob":null, "first_k_dense_replace":null, "rms_norm_eps":null,
                 "moe_layer_freq":null, "rope_theta":null, "rope_scaling":null, "quantization_config":null,
                 "num_nextn_predict_layers":null, "scoring_func":null, "topk_method":null, "hidden_act":null,
                 "attention_bias":null, "tie_word_embeddings":null}""");
        assertEquals(new ModelConfig.Mla(128, 0, 512, 128, 64, 128, true, 1e-6f), config.mla());
        assertEquals(new ModelConfig.Moe(0, 1, 256, 8, 1, 1, 2048, 0, true, 1), config.moe());
        assertEquals(new ModelConfig.Rope(10000, null), config.rope());
        assertEquals((float) (1 / Math.sqrt(192)), config.softmaxScale());
        assertEquals(0, config.mtpLayers());
        assertEquals(128, config.blockColumns());
    }

    /** The newer spelling holds theta within; both spellings give the same. */
    @Test
    void ropeParameters() {
        ModelConfig older = Configs.v32("{\"rope_theta\":50000}");
        ModelConfig newer = Configs.v32("""
                {"rope_theta":null, "rope_scaling":null, "rope_parameters":{"rope_type":"yarn", "rope_theta":50000,
                 "factor":40, "beta_fast":32, "beta_slow":1, "mscale":1, "mscale_all_dim":1,
                 "original_max_position_embeddings":4096}}""");
        assertEquals(older.rope(), newer.rope());
        assertEquals(50000, newer.rope().theta());
        String plain = "{\"rope_scaling\":null,\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":7}}";
        assertEquals(new ModelConfig.Rope(7, null), Configs.v32(plain).rope());
        // where both are there, the newer one is right
        ModelConfig both = Configs.v32("{\"rope_parameters\":{\"rope_type\":\"default\"}}");
        assertEquals(new ModelConfig.Rope(10000, null), both.rope());
    }

    @Test
    void yarnFactors() {
        assertYarn("{\"mscale\":0.7,\"mscale_all_dim\":0.7}", 1, Math.pow(0.07 * Math.log(40) + 1, 2));
        assertYarn("{\"mscale\":1,\"mscale_all_dim\":0.5}",
                (0.1 * Math.log(40) + 1) / (0.05 * Math.log(40) + 1), Math.pow(0.05 * Math.log(40) + 1, 2));
        assertYarn("{\"mscale\":null,\"mscale_all_dim\":null}", 0.1 * Math.log(40) + 1, 1);
        assertYarn("{\"mscale\":0,\"mscale_all_dim\":0}", 0.1 * Math.log(40) + 1, 1);
        assertYarn("{\"attention_factor\":1.25}", 1.25, Math.pow(0.1 * Math.log(40) + 1, 2));
        assertYarn("{\"factor\":1}", 1, 1);
        // the factor that is not given is what stretches the first context to the longest
        assertEquals(40, Configs.v32("{\"rope_scaling\":{\"factor\":null}}").rope().yarn().factor());
    }

    private static void assertYarn(String over, double magnitude, double scoreFactor) {
        ModelConfig.Yarn yarn = Configs.v32("{\"rope_scaling\":" + over + "}").rope().yarn();
        assertEquals(magnitude, yarn.magnitude(), 1e-12);
        assertEquals(scoreFactor, yarn.scoreFactor(), 1e-12);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"hidden_act\":\"gelu\"}                        | hidden_act \"gelu\" is not supported; known: silu",
        "{\"scoring_func\":\"softmax\"}                   | scoring_func \"softmax\" is not supported",
        "{\"topk_method\":\"greedy\"}                     | topk_method \"greedy\" is not supported",
        "{\"attention_bias\":true}                        | attention_bias true is not supported",
        "{\"rope_scaling\":{\"type\":\"linear\"}}         | rope_scaling: type \"linear\" is not supported",
        "{\"rope_scaling\":{\"rope_type\":\"llama3\"}}    | rope_scaling: rope_type \"llama3\" is not supported",
        "{\"quantization_config\":{\"quant_method\":\"awq\"}} | quantization_config: quant_method \"awq\" is not",
        "{\"quantization_config\":{\"fmt\":\"e5m2\"}}     | quantization_config: fmt \"e5m2\" is not supported",
        "{\"architectures\":[]}                           | architectures must be",
        "{\"architectures\":\"DeepseekV32ForCausalLM\"}   | architectures must be",
        "{\"architectures\":[7]}                          | architectures must be",
        "{\"architectures\":null}                         | architectures must be",
        "{\"qk_rope_head_dim\":63}                        | qk_rope_head_dim must be even, found 63",
        "{\"index_head_dim\":62}                          | index_head_dim must be a whole number from 64",
        "{\"q_lora_rank\":null}                           | q_lora_rank must be a number in a model with an indexer",
        "{\"n_group\":7}                       | n_group must be a divisor of n_routed_experts (256), found 7",
        "{\"topk_group\":9}                               | topk_group must be at most n_group (8), found 9",
        "{\"num_experts_per_tok\":129}                    | num_experts_per_tok must be at most the 128 experts",
        "{\"rope_scaling\":7}                             | rope_scaling must be an object, found 7",
        "{\"rope_parameters\":[]}                         | rope_parameters must be an object",
        "{\"rope_scaling\":{\"mscale\":-1}}               | rope_scaling: mscale must be",
        "{\"rope_scaling\":{\"mscale\":\"1\"}}            | rope_scaling: mscale must be",
        "{\"rope_scaling\":{\"factor\":0}}                | rope_scaling: factor must be a positive number, found 0",
        "{\"rope_scaling\":{\"beta_fast\":\"32\"}}        | rope_scaling: beta_fast must be a positive number",
        "{\"rope_scaling\":{\"truncate\":1}}              | rope_scaling: truncate must be true or false",
        "{\"quantization_config\":\"fp8\"}                | quantization_config must be an object",
        "{\"quantization_config\":{\"weight_block_size\":[128]}}       | weight_block_size must be two positive",
        "{\"quantization_config\":{\"weight_block_size\":[128,0]}}     | weight_block_size must be two positive",
        "{\"quantization_config\":{\"weight_block_size\":[128,1.5]}}   | weight_block_size must be two positive",
        "{\"quantization_config\":{\"weight_block_size\":128}}         | weight_block_size must be two positive",
        "{\"quantization_config\":{\"weight_block_size\":{\"a\":1,\"b\":2}}} | weight_block_size must be two positive",
        "{\"num_attention_heads\":67108864}               | num_attention_heads must be at most",
        "{\"index_n_heads\":67108864}                     | index_n_heads must be at most",
        "{\"n_shared_experts\":67108864}                  | n_shared_experts must be at most",
        "{\"kv_lora_rank\":67108864}                      | num_attention_heads must be at most 31 with 67108928",
    })
    void unsupportedOrInconsistent(String over, String says) {
        assertSays(() -> Configs.v32(over), "folder: config.json: ", says);
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "kv_lora_rank", "qk_nope_head_dim",
        "qk_rope_head_dim", "v_head_dim", "index_n_heads", "index_head_dim", "intermediate_size", "num_experts_per_tok",
        "moe_intermediate_size", "max_position_embeddings", "n_group", "topk_group", "n_shared_experts", "index_topk",
        "n_routed_experts", "first_k_dense_replace", "q_lora_rank", "num_nextn_predict_layers", "moe_layer_freq",
    })
    void countsThatAreNot(String field) {
        for (String value : List.of("-1", "2.5", "1e300", "67108865", "99999999999999999999", "\"8\"", "true",
                "[8]", "{}")) {
            assertSays(() -> Configs.v32("{\"" + field + "\":" + value + "}"),
                    "config.json: " + field + " must be a whole number from ", "found " + value.substring(0, 1));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "kv_lora_rank", "qk_nope_head_dim",
        "qk_rope_head_dim", "v_head_dim", "index_n_heads", "index_head_dim", "intermediate_size", "num_experts_per_tok",
        "moe_intermediate_size", "max_position_embeddings",
    })
    void fieldsThatMustBeThere(String field) {
        assertSays(() -> Configs.v32("{\"" + field + "\":null}"), "config.json: the field " + field + " is missing");
    }

    @Test
    void numbersTextsAndFlagsOfOtherTypes() {
        for (String field : List.of("rms_norm_eps", "rope_theta", "routed_scaling_factor")) {
            for (String value : List.of("-1", "0", "1e16", "1e999", "\"1\"", "false", "[]", "{}")) {
                assertSays(() -> Configs.v32("{\"" + field + "\":" + value + "}"),
                        "config.json: " + field + " must be a positive number");
            }
        }
        for (String field : List.of("attention_bias", "norm_topk_prob", "tie_word_embeddings", "rope_interleave",
                "indexer_rope_interleave")) {
            for (String value : List.of("1", "\"true\"", "[]")) {
                assertSays(() -> Configs.v32("{\"" + field + "\":" + value + "}"),
                        "config.json: " + field + " must be true or false");
            }
        }
        for (String field : List.of("hidden_act", "scoring_func", "topk_method")) {
            assertSays(() -> Configs.v32("{\"" + field + "\":1}"), "config.json: " + field + " must be a string");
        }
    }

    /** Counts may be spelt as 8.0, as some writers do. */
    @Test
    void wholeNumbersInFloatSpelling() {
        assertEquals(8, Configs.v32("{\"num_hidden_layers\":8.0}").layers());
    }

    @Test
    void notAnObject() {
        assertSays(() -> Configs.fields("[]"), "config.json", "JSON object");
        assertSays(() -> Configs.fields(""), "config.json");
        assertSays(() -> Configs.fields("{\"a\":1,\"a\":2}"), "config.json", "not valid JSON", "a");
        assertSays(() -> Configs.fields("{\"a\":"), "config.json", "not valid JSON");
        assertSays(() -> Configs.fields("{} trailing"), "config.json", "not valid JSON");
        assertSays(() -> Configs.fields("{\"a\":".repeat(100_000)), "config.json", "not valid JSON");
    }

    @Test
    void mergeIsDeepAndNullRemoves() {
        Fields base = Configs.fields("{\"a\":{\"x\":1,\"y\":{\"z\":2}},\"b\":3,\"c\":[1,2]}");
        Fields merged = base.merge(Configs.fields("{\"a\":{\"x\":null,\"y\":{\"w\":4}},\"b\":{\"n\":5},\"c\":[9]}"));
        assertEquals("{\"y\":{\"z\":2,\"w\":4}}", merged.get("a").toString());
        assertEquals("{\"n\":5}", merged.get("b").toString());
        assertEquals("[9]", merged.get("c").toString());
        assertFalse(base.merge(Configs.fields("{\"b\":null,\"none\":null}")).has("b"));
        assertEquals("{\"x\":1,\"y\":{\"z\":2}}", base.get("a").toString(), "the base is left as it is");
    }
}
