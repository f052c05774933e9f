package dev.gyre.model.config;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.attention.policy.IndexSharing;

import java.util.LinkedHashMap;
import java.util.Map;

/** Reads {@code config.json} in either of Hugging Face's spellings. */
public final class ConfigReader {
    private ConfigReader() {}

    /** The first of {@code architectures}. */
    public static String architecture(Fields fields) {
        JsonNode names = fields.get("architectures");
        if (names == null || !names.isArray() || names.isEmpty() || !names.get(0).isTextual()) {
            throw fields.wrong("architectures", "a list with the name of an architecture");
        }
        return names.get(0).textValue();
    }

    /**
     * The configuration.
     *
     * @param family what the fields leave unsaid; {@code index_topk} decides whether a model of a sparse family has an
     *     indexer
     */
    public static ModelConfig read(Fields fields, Family family) {
        only(fields, "hidden_act", "silu");
        only(fields, "scoring_func", "sigmoid");
        only(fields, "topk_method", "noaux_tc");
        if (fields.flag("attention_bias", false)) {
            throw fields.unsupported("attention_bias", "false");
        }
        float normEps = (float) fields.positive("rms_norm_eps", 1e-6);
        ModelConfig.Mla mla = mla(fields, family.compressedNormEps() > 0 ? family.compressedNormEps() : normEps);
        int[] block = weightBlock(fields);
        return new ModelConfig(
                architecture(fields),
                fields.count("vocab_size", 1),
                fields.count("hidden_size", 1),
                fields.count("num_hidden_layers", 1),
                0,
                fields.count("num_nextn_predict_layers", 0, 0),
                mla,
                family.sparse() && fields.has("index_topk") ? indexer(fields, mla, family) : null,
                fields.count("intermediate_size", 1),
                fields.has("n_routed_experts") ? moe(fields) : null,
                normEps,
                rope(fields),
                fields.count("max_position_embeddings", 1),
                fields.flag("tie_word_embeddings", false),
                block[0],
                block[1]);
    }

    private static void only(Fields fields, String field, String known) {
        if (!fields.text(field, known).equals(known)) {
            throw fields.unsupported(field, known);
        }
    }

    private static ModelConfig.Mla mla(Fields fields, float normEps) {
        int rope = fields.count("qk_rope_head_dim", 2);
        if (rope % 2 != 0) {
            throw fields.wrong("qk_rope_head_dim", "even");
        }
        int heads = fields.count("num_attention_heads", 1);
        int rank = fields.count("kv_lora_rank", 1);
        int nope = fields.count("qk_nope_head_dim", 1);
        int value = fields.count("v_head_dim", 1);
        limit(fields, "num_attention_heads", heads, Math.max(rank + rope, nope + Math.max(rope, value)));
        return new ModelConfig.Mla(
                heads,
                fields.count("q_lora_rank", 1, 0),
                rank,
                nope,
                rope,
                value,
                fields.flag("rope_interleave", true),
                normEps);
    }

    /** Rejects a count whose product with a width, which is that of a matrix, does not fit an int. */
    private static void limit(Fields fields, String field, int count, int width) {
        if ((long) count * width > Integer.MAX_VALUE) {
            throw fields.wrong(field, "at most " + Integer.MAX_VALUE / width + " with " + width + " values each");
        }
    }

    private static ModelConfig.Indexer indexer(Fields fields, ModelConfig.Mla mla, Family family) {
        if (mla.qRank() == 0) {
            throw fields.wrong("q_lora_rank", "a number in a model with an indexer");
        }
        int dim = fields.count("index_head_dim", mla.rope()); // the rotary part must fit
        int heads = fields.count("index_n_heads", 1);
        limit(fields, "index_n_heads", heads, dim);
        return new ModelConfig.Indexer(
                heads,
                dim,
                fields.count("index_topk", 1),
                fields.flag("indexer_rope_interleave", family.interleavedIndexer()),
                sharing(fields, fields.count("num_hidden_layers", 1)));
    }

    /**
     * Which layers run their indexer, in any of three spellings: GLM's list of a word for each layer, IndexCache's
     * string of a letter for each, or one in so many. Where there are several they say the same. Layers for multi-token
     * prediction may be listed behind the others.
     */
    private static IndexSharing sharing(Fields fields, int layers) {
        Map<String, IndexSharing> spellings = new LinkedHashMap<>();
        if (fields.has("indexer_types")) {
            String of = "of \"full\" and \"shared\", one for each of the " + layers + " layers, the first full";
            spellings.put("indexer_types", new IndexSharing(
                    letters(fields, "indexer_types", Map.of("full", "F", "shared", "S"), "F[FS]*", layers, of)));
        }
        if (fields.has("index_topk_pattern")) {
            String pattern = fields.text("index_topk_pattern", "");
            if (pattern.length() < layers || !pattern.matches("F[FS]*")) {
                throw fields.wrong("index_topk_pattern",
                        "of the letters F and S, one for each of the " + layers + " layers, the first F");
            }
            spellings.put("index_topk_pattern", new IndexSharing(pattern.substring(0, layers)));
        }
        if (fields.has("index_topk_freq")) {
            int offset = fields.count("index_skip_topk_offset", 1, IndexSharing.OFFSET);
            spellings.put("index_topk_freq", IndexSharing.every(fields.count("index_topk_freq", 1), offset, layers));
        }
        IndexSharing first = spellings.values().stream().findFirst().orElse(IndexSharing.none(layers));
        spellings.forEach((field, sharing) -> {
            if (!sharing.equals(first)) {
                throw fields.wrong(field, "as " + spellings.keySet().iterator().next() + " has it, " + first.pattern());
            }
        });
        return first;
    }

    /** A list of words, one for each layer or more, as letters. */
    private static String letters(
            Fields fields, String field, Map<String, String> words, String expected, int layers, String of) {
        StringBuilder letters = new StringBuilder();
        for (JsonNode word : fields.get(field)) {
            letters.append(words.getOrDefault(word.asText(), "?"));
        }
        if (letters.length() < layers || !letters.toString().matches(expected)) {
            throw fields.wrong(field, of);
        }
        return letters.substring(0, layers);
    }

    /** How many layers come before those with experts: a number, or by GLM's list of a word for each layer. */
    private static int denseLayers(Fields fields) {
        int number = fields.count("first_k_dense_replace", 0, 0);
        if (!fields.has("mlp_layer_types")) {
            return number;
        }
        int layers = fields.count("num_hidden_layers", 1);
        int dense = letters(fields, "mlp_layer_types", Map.of("dense", "D", "sparse", "S"), "D*S*", layers,
                "of \"dense\" and \"sparse\", one for each of the " + layers + " layers, all dense ones first")
                .replace("S", "").length();
        if (fields.has("first_k_dense_replace") && Math.min(number, layers) != dense) {
            throw fields.wrong("first_k_dense_replace", "the number of dense layers in mlp_layer_types, " + dense);
        }
        if (fields.count("moe_layer_freq", 1, 1) != 1) {
            throw fields.wrong("moe_layer_freq", "1, or missing, where mlp_layer_types says it of every layer");
        }
        return dense;
    }

    private static ModelConfig.Moe moe(Fields fields) {
        int experts = fields.count("n_routed_experts", 1);
        int groups = fields.count("n_group", 1, 1);
        int groupsPerToken = fields.count("topk_group", 1, groups);
        int perToken = fields.count("num_experts_per_tok", 1);
        if (experts % groups != 0) {
            throw fields.wrong("n_group", "a divisor of n_routed_experts (" + experts + ")");
        }
        if (groupsPerToken > groups) {
            throw fields.wrong("topk_group", "at most n_group (" + groups + ")");
        }
        if (perToken > groupsPerToken * (experts / groups)) {
            throw fields.wrong("num_experts_per_tok", "at most the " + groupsPerToken * (experts / groups)
                    + " experts of the groups that a token may use");
        }
        int intermediate = fields.count("moe_intermediate_size", 1);
        int shared = fields.count("n_shared_experts", 0, 0);
        limit(fields, "n_shared_experts", shared, intermediate);
        return new ModelConfig.Moe(
                denseLayers(fields),
                fields.count("moe_layer_freq", 1, 1),
                experts,
                perToken,
                groups,
                groupsPerToken,
                intermediate,
                shared,
                fields.flag("norm_topk_prob", true),
                (float) fields.positive("routed_scaling_factor", 1));
    }

    /** {@code rope_parameters} holds theta and scaling; the older {@code rope_scaling} leaves theta outside. */
    private static ModelConfig.Rope rope(Fields fields) {
        Fields parameters = fields.object("rope_parameters");
        Fields scaling = parameters != null ? parameters : fields.object("rope_scaling");
        double theta = fields.positive("rope_theta", 10000);
        if (scaling == null) {
            return new ModelConfig.Rope(theta, null);
        }
        theta = scaling.positive("rope_theta", theta);
        if (theta <= 1) {
            throw fields.wrong("rope_theta", "above 1");
        }
        String key = scaling.has("rope_type") ? "rope_type" : "type";
        return switch (scaling.text(key, "default")) {
            case "default" -> new ModelConfig.Rope(theta, null);
            case "yarn" -> new ModelConfig.Rope(theta, yarn(scaling, fields));
            default -> throw scaling.unsupported(key, "default, yarn");
        };
    }

    private static ModelConfig.Yarn yarn(Fields scaling, Fields fields) {
        double original = scaling.positive(
                "original_max_position_embeddings", fields.count("max_position_embeddings", 1));
        double factor = scaling.positive("factor", fields.count("max_position_embeddings", 1) / original);
        // 0 means "not given" for both, as in Hugging Face's reading
        double mscale = scaling.has("mscale") ? nonNegative(scaling, "mscale") : 0;
        double mscaleAllDim = scaling.has("mscale_all_dim") ? nonNegative(scaling, "mscale_all_dim") : 0;
        double magnitude = mscale > 0 && mscaleAllDim > 0
                ? attentionFactor(factor, mscale) / attentionFactor(factor, mscaleAllDim)
                : attentionFactor(factor, 1);
        double score = mscaleAllDim > 0 ? attentionFactor(factor, mscaleAllDim) : 1;
        return new ModelConfig.Yarn(
                factor,
                original,
                scaling.positive("beta_fast", 32),
                scaling.positive("beta_slow", 1),
                scaling.flag("truncate", true),
                scaling.positive("attention_factor", magnitude),
                score * score);
    }

    private static double nonNegative(Fields fields, String field) {
        JsonNode value = fields.get(field);
        if (!value.isNumber() || !(value.asDouble() >= 0) || value.asDouble() > 1e6) {
            throw fields.wrong(field, "a number of at least 0");
        }
        return value.asDouble();
    }

    /** YaRN's temperature: 0.1 * mscale * ln(factor) + 1. */
    private static double attentionFactor(double factor, double mscale) {
        return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
    }

    private static int[] weightBlock(Fields fields) {
        Fields quantization = fields.object("quantization_config");
        if (quantization == null) {
            return new int[] {128, 128};
        }
        only(quantization, "quant_method", "fp8");
        only(quantization, "fmt", "e4m3");
        JsonNode block = quantization.get("weight_block_size");
        if (block == null) {
            return new int[] {128, 128};
        }
        if (!block.isArray() || block.size() != 2 || !isBlock(block.get(0)) || !isBlock(block.get(1))) {
            throw quantization.wrong("weight_block_size", "two positive numbers");
        }
        return new int[] {block.get(0).intValue(), block.get(1).intValue()};
    }

    private static boolean isBlock(JsonNode size) {
        return size.isInt() && size.intValue() > 0 && size.intValue() <= 1 << 16;
    }
}
