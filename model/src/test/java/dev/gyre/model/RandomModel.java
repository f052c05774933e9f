package dev.gyre.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.function.Predicate;

/** A model folder with random f32 weights of any shape, and the same weights for {@link NaiveModel}. */
final class RandomModel {
    final ObjectNode config;
    final Map<String, float[]> weights = new LinkedHashMap<>();
    private final Map<String, int[]> shapes = new LinkedHashMap<>();
    private final Random random;

    /** Makes the weights that {@code config} calls for. */
    RandomModel(String config, long seed) {
        try {
            this.config = (ObjectNode) new ObjectMapper().readTree(config);
        } catch (IOException e) {
            throw new IllegalArgumentException(e);
        }
        random = new Random(seed);
        int hidden = number("hidden_size");
        int heads = number("num_attention_heads");
        int rope = number("qk_rope_head_dim");
        int query = heads * (number("qk_nope_head_dim") + rope);
        int rank = number("kv_lora_rank");
        int value = number("v_head_dim");
        add("model.embed_tokens.weight", 1, number("vocab_size"), hidden);
        for (int layer = 0; layer < number("num_hidden_layers"); layer++) {
            String prefix = "model.layers." + layer + ".";
            norm(prefix + "input_layernorm.weight", hidden);
            norm(prefix + "post_attention_layernorm.weight", hidden);
            String attention = prefix + "self_attn.";
            if (number("q_lora_rank") > 0) {
                matrix(attention + "q_a_proj.weight", number("q_lora_rank"), hidden);
                norm(attention + "q_a_layernorm.weight", number("q_lora_rank"));
                matrix(attention + "q_b_proj.weight", query, number("q_lora_rank"));
            } else {
                matrix(attention + "q_proj.weight", query, hidden);
            }
            matrix(attention + "kv_a_proj_with_mqa.weight", rank + rope, hidden);
            norm(attention + "kv_a_layernorm.weight", rank);
            matrix(attention + "kv_b_proj.weight", heads * (number("qk_nope_head_dim") + value), rank);
            matrix(attention + "o_proj.weight", hidden, heads * value);
            if (number("index_topk") > 0) {
                int dim = number("index_head_dim");
                matrix(attention + "indexer.wq_b.weight", number("index_n_heads") * dim, number("q_lora_rank"));
                matrix(attention + "indexer.wk.weight", dim, hidden);
                norm(attention + "indexer.k_norm.weight", dim);
                add(attention + "indexer.k_norm.bias", 0.1, dim);
                matrix(attention + "indexer.weights_proj.weight", number("index_n_heads"), hidden);
            }
            if (layer < number("first_k_dense_replace")) {
                mlp(prefix + "mlp.", hidden, number("intermediate_size"));
            } else {
                matrix(prefix + "mlp.gate.weight", number("n_routed_experts"), hidden);
                add(prefix + "mlp.gate.e_score_correction_bias", 0.3, number("n_routed_experts"));
                for (int e = 0; e < number("n_routed_experts"); e++) {
                    mlp(prefix + "mlp.experts." + e + ".", hidden, number("moe_intermediate_size"));
                }
                if (number("n_shared_experts") > 0) {
                    int inner = number("n_shared_experts") * number("moe_intermediate_size");
                    mlp(prefix + "mlp.shared_experts.", hidden, inner);
                }
            }
        }
        norm("model.norm.weight", hidden);
        if (!this.config.path("tie_word_embeddings").asBoolean()) {
            matrix("lm_head.weight", number("vocab_size"), hidden);
        }
    }

    private RandomModel(ObjectNode config) {
        this.config = config;
        random = null;
    }

    /** Layers first to last, both included, as a model of their own: renumbered, of the same kinds. */
    RandomModel slice(int first, int last) {
        ObjectNode shorter = config.deepCopy();
        shorter.put("num_hidden_layers", last - first + 1);
        shorter.put("first_k_dense_replace", Math.max(0, number("first_k_dense_replace") - first));
        if (config.has("index_topk_pattern")) {
            shorter.put("index_topk_pattern", config.get("index_topk_pattern").textValue().substring(first, last + 1));
        }
        RandomModel slice = new RandomModel(shorter);
        weights.forEach((name, values) -> {
            String[] parts = name.split("\\.", 4);
            boolean layer = parts[1].equals("layers");
            int number = layer ? Integer.parseInt(parts[2]) : first;
            if (number >= first && number <= last) {
                String kept = layer ? "model.layers." + (number - first) + "." + parts[3] : name;
                slice.weights.put(kept, values);
                slice.shapes.put(kept, shapes.get(name));
            }
        });
        return slice;
    }

    /** A number of the config; 0 where it is absent. */
    int number(String field) {
        return config.path(field).asInt(0);
    }

    private void mlp(String prefix, int hidden, int inner) {
        matrix(prefix + "gate_proj.weight", inner, hidden);
        matrix(prefix + "up_proj.weight", inner, hidden);
        matrix(prefix + "down_proj.weight", hidden, inner);
    }

    private void matrix(String name, int rows, int columns) {
        add(name, 1.5 / Math.sqrt(columns), rows, columns);
    }

    private void norm(String name, int size) {
        add(name, 0.2, size);
        float[] gain = weights.get(name);
        for (int i = 0; i < size; i++) {
            gain[i] += 1;
        }
    }

    private void add(String name, double deviation, int... shape) {
        int size = 1;
        for (int dimension : shape) {
            size *= dimension;
        }
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = (float) (random.nextGaussian() * deviation);
        }
        weights.put(name, values);
        shapes.put(name, shape);
    }

    /** The weights as a file. */
    TensorFile tensors() {
        return tensors(name -> true);
    }

    /** Some of the weights as a file. */
    TensorFile tensors(Predicate<String> wanted) {
        TensorFile file = new TensorFile();
        weights.forEach((name, values) -> {
            if (wanted.test(name)) {
                file.addFloats(name, values, Arrays.stream(shapes.get(name)).asLongStream().toArray());
            }
        });
        return file;
    }

    /** Writes config.json and model.safetensors. */
    void write(Path folder) throws IOException {
        Files.write(folder.resolve("model.safetensors"), tensors().bytes());
        Files.writeString(folder.resolve("config.json"), config.toString());
    }
}
