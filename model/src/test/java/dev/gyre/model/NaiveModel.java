package dev.gyre.model;

import com.fasterxml.jackson.databind.JsonNode;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * An independent reading of the architecture: f64, one sequence, no cache, keys and values expanded for every head, a
 * sort for every choice. Shares no code with the engine, so that a misreading has to be made twice to go unseen.
 */
final class NaiveModel {
    private final RandomModel model;
    private final int hidden;
    private final int heads;
    private final int nope;
    private final int rope;
    private final int value;
    private final int rank;
    /** Selected positions by layer and position. */
    final TreeMap<Integer, List<int[]>> selections = new TreeMap<>();

    NaiveModel(RandomModel model) {
        this.model = model;
        hidden = model.number("hidden_size");
        heads = model.number("num_attention_heads");
        nope = model.number("qk_nope_head_dim");
        rope = model.number("qk_rope_head_dim");
        value = model.number("v_head_dim");
        rank = model.number("kv_lora_rank");
    }

    /** Logits of every position. */
    double[][] logits(int[] tokens) {
        double[][] x = new double[tokens.length][hidden];
        float[] table = model.weights.get("model.embed_tokens.weight");
        for (int t = 0; t < tokens.length; t++) {
            for (int i = 0; i < hidden; i++) {
                x[t][i] = table[tokens[t] * hidden + i];
            }
        }
        for (int layer = 0; layer < model.number("num_hidden_layers"); layer++) {
            String prefix = "model.layers." + layer + ".";
            double[][] attended = attention(layer, each(x, row -> rms(row, prefix + "input_layernorm.weight")));
            for (int t = 0; t < x.length; t++) {
                x[t] = sum(x[t], attended[t]);
                double[] normed = rms(x[t], prefix + "post_attention_layernorm.weight");
                x[t] = sum(x[t], layer < model.number("first_k_dense_replace")
                        ? mlp(normed, prefix + "mlp.")
                        : moe(normed, prefix + "mlp."));
            }
        }
        boolean tied = model.config.path("tie_word_embeddings").asBoolean();
        String head = tied ? "model.embed_tokens.weight" : "lm_head.weight";
        return each(x, row -> linear(rms(row, "model.norm.weight"), head));
    }

    private double[][] attention(int layer, double[][] x) {
        String prefix = "model.layers." + layer + ".self_attn.";
        int n = x.length;
        boolean compressed = model.number("q_lora_rank") > 0;
        double[][] c = compressed ? each(x, row -> linear(row, prefix + "q_a_proj.weight")) : x;
        c = compressed ? each(c, row -> compressedRms(row, prefix + "q_a_layernorm.weight")) : c;
        double[][] q = each(c, row -> linear(row, prefix + (compressed ? "q_b_proj.weight" : "q_proj.weight")));
        double[][] keys = new double[n][];
        double[][] values = new double[n][];
        for (int t = 0; t < n; t++) {
            double[] kv = linear(x[t], prefix + "kv_a_proj_with_mqa.weight");
            double[] latent = compressedRms(slice(kv, 0, rank), prefix + "kv_a_layernorm.weight");
            double[] sharedKey = interleaved(slice(kv, rank, rope), t);
            double[] expanded = linear(latent, prefix + "kv_b_proj.weight");
            keys[t] = new double[heads * (nope + rope)];
            values[t] = new double[heads * value];
            for (int h = 0; h < heads; h++) {
                System.arraycopy(expanded, h * (nope + value), keys[t], h * (nope + rope), nope);
                System.arraycopy(sharedKey, 0, keys[t], h * (nope + rope) + nope, rope);
                System.arraycopy(expanded, h * (nope + value) + nope, values[t], h * value, value);
            }
        }
        double[][] out = new double[n][];
        List<int[]> selected = isShared(layer) ? selections.get(layer - 1) : selections(x, c, prefix + "indexer.");
        selections.put(layer, selected);
        for (int t = 0; t < n; t++) {
            double[] joined = new double[heads * value];
            for (int h = 0; h < heads; h++) {
                double[] query = slice(q[t], h * (nope + rope), nope + rope);
                System.arraycopy(interleaved(slice(query, nope, rope), t), 0, query, nope, rope);
                int[] seen = selected.get(t);
                double[] weights = new double[seen.length];
                double total = 0;
                for (int i = 0; i < seen.length; i++) {
                    double dot = 0;
                    for (int d = 0; d < nope + rope; d++) {
                        dot += query[d] * keys[seen[i]][h * (nope + rope) + d];
                    }
                    weights[i] = Math.exp(dot * scale());
                    total += weights[i];
                }
                for (int i = 0; i < seen.length; i++) {
                    for (int d = 0; d < value; d++) {
                        joined[h * value + d] += weights[i] / total * values[seen[i]][h * value + d];
                    }
                }
            }
            out[t] = linear(joined, prefix + "o_proj.weight");
        }
        return out;
    }

    /** A list, or a letter for each layer, or one in so many after the first few. */
    boolean isShared(int layer) {
        if (model.config.has("indexer_types")) {
            return model.config.get("indexer_types").get(layer).asText().equals("shared");
        }
        if (model.config.has("index_topk_pattern")) {
            return model.config.get("index_topk_pattern").asText().charAt(layer) == 'S';
        }
        int beyond = layer - model.config.path("index_skip_topk_offset").asInt(2) + 1;
        return beyond > 0 && beyond % model.config.path("index_topk_freq").asInt(1) != 0;
    }

    private boolean isGlm() {
        return model.config.path("architectures").path(0).asText().startsWith("Glm");
    }

    /** Rotates the first values of an index query or key. */
    private double[] indexRope(double[] x, int position) {
        if (!model.config.path("indexer_rope_interleave").asBoolean(isGlm())) {
            return halves(x, position);
        }
        double[] out = x.clone();
        System.arraycopy(interleaved(slice(x, 0, rope), position), 0, out, 0, rope);
        return out;
    }

    private List<int[]> selections(double[][] x, double[][] c, String prefix) {
        int indexHeads = model.number("index_n_heads");
        int dim = model.number("index_head_dim");
        int topk = model.number("index_topk");
        List<int[]> selected = new ArrayList<>();
        double[][] keys = new double[x.length][];
        for (int t = 0; t < x.length; t++) {
            if (topk == 0) {
                selected.add(IntStream.rangeClosed(0, t).toArray());
                continue;
            }
            keys[t] = indexRope(layerNorm(linear(x[t], prefix + "wk.weight"), prefix + "k_norm."), t);
            double[] q = linear(c[t], prefix + "wq_b.weight");
            double[] w = linear(x[t], prefix + "weights_proj.weight");
            double[] scores = new double[t + 1];
            for (int h = 0; h < indexHeads; h++) {
                double[] query = indexRope(slice(q, h * dim, dim), t);
                for (int s = 0; s <= t; s++) {
                    double dot = 0;
                    for (int d = 0; d < dim; d++) {
                        dot += query[d] * keys[s][d];
                    }
                    scores[s] += w[h] * Math.max(0, dot);
                }
            }
            selected.add(IntStream.rangeClosed(0, t)
                    .boxed()
                    .sorted(Comparator.comparing((Integer s) -> -scores[s]).thenComparing(s -> s))
                    .limit(topk)
                    .mapToInt(s -> s)
                    .sorted()
                    .toArray());
        }
        return selected;
    }

    private double[] moe(double[] x, String prefix) {
        int experts = model.number("n_routed_experts");
        int groups = Math.max(1, model.number("n_group"));
        int size = experts / groups;
        double[] logits = linear(x, prefix + "gate.weight");
        float[] bias = model.weights.get(prefix + "gate.e_score_correction_bias");
        double[] score = new double[experts];
        double[] choice = new double[experts];
        for (int e = 0; e < experts; e++) {
            score[e] = 1 / (1 + Math.exp(-logits[e]));
            choice[e] = score[e] + bias[e];
        }
        List<Integer> best = IntStream.range(0, groups)
                .boxed()
                .sorted(Comparator.comparingDouble((Integer g) -> -IntStream.range(g * size, (g + 1) * size)
                        .mapToDouble(e -> -choice[e])
                        .sorted()
                        .limit(2)
                        .map(v -> -v)
                        .sum()))
                .limit(Math.max(1, model.number("topk_group")))
                .toList();
        List<Integer> chosen = IntStream.range(0, experts)
                .boxed()
                .filter(e -> best.contains(e / size))
                .sorted(Comparator.comparingDouble((Integer e) -> -choice[e]))
                .limit(model.number("num_experts_per_tok"))
                .toList();
        boolean normalize = model.config.path("norm_topk_prob").asBoolean(true);
        double total = normalize ? chosen.stream().mapToDouble(e -> score[e]).sum() : 1;
        double[] out = model.number("n_shared_experts") > 0 ? mlp(x, prefix + "shared_experts.") : new double[hidden];
        for (int e : chosen) {
            double[] y = mlp(x, prefix + "experts." + e + ".");
            for (int i = 0; i < hidden; i++) {
                out[i] += y[i] * score[e] / total * model.config.path("routed_scaling_factor").asDouble(1);
            }
        }
        return out;
    }

    private double[] mlp(double[] x, String prefix) {
        double[] gate = linear(x, prefix + "gate_proj.weight");
        double[] up = linear(x, prefix + "up_proj.weight");
        for (int i = 0; i < gate.length; i++) {
            gate[i] = gate[i] / (1 + Math.exp(-gate[i])) * up[i];
        }
        return linear(gate, prefix + "down_proj.weight");
    }

    private double scale() {
        JsonNode yarn = model.config.path("rope_scaling");
        double m = yarn.path("mscale_all_dim").asDouble(0) * 0.1 * Math.log(yarn.path("factor").asDouble(1)) + 1;
        return m * m / Math.sqrt(nope + rope);
    }

    /** Angle per position of pair i, by the YaRN paper. */
    private double frequency(int i) {
        JsonNode inner = model.config.path("rope_parameters").path("rope_theta"); // where newer files have it
        double theta = inner.asDouble(model.config.path("rope_theta").asDouble());
        double plain = Math.pow(theta, -2.0 * i / rope);
        JsonNode yarn = model.config.path("rope_scaling");
        if (!yarn.path("type").asText("").equals("yarn")) {
            return plain;
        }
        double length = yarn.path("original_max_position_embeddings").asDouble();
        double low = Math.max(0, Math.floor(dimension(yarn.path("beta_fast").asDouble(), length, theta)));
        double high = Math.min(rope - 1, Math.ceil(dimension(yarn.path("beta_slow").asDouble(), length, theta)));
        double ramp = Math.min(1, Math.max(0, (i - low) / (high == low ? 0.001 : high - low)));
        return plain / yarn.path("factor").asDouble() * ramp + plain * (1 - ramp);
    }

    private double dimension(double turns, double length, double theta) {
        return rope * Math.log(length / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
    }

    private double[] interleaved(double[] x, int position) {
        double[] out = new double[rope];
        for (int i = 0; i < rope / 2; i++) {
            double a = position * frequency(i);
            out[2 * i] = x[2 * i] * Math.cos(a) - x[2 * i + 1] * Math.sin(a);
            out[2 * i + 1] = x[2 * i] * Math.sin(a) + x[2 * i + 1] * Math.cos(a);
        }
        return out;
    }

    private double[] halves(double[] x, int position) {
        double[] out = x.clone();
        for (int i = 0; i < rope / 2; i++) {
            double a = position * frequency(i);
            out[i] = x[i] * Math.cos(a) - x[i + rope / 2] * Math.sin(a);
            out[i + rope / 2] = x[i] * Math.sin(a) + x[i + rope / 2] * Math.cos(a);
        }
        return out;
    }

    private double[] rms(double[] x, String name) {
        return rms(x, name, model.config.path("rms_norm_eps").asDouble(1e-6));
    }

    /** On compressed queries and latents: DeepSeek's code has 1e-6 there, GLM-5 is run with its rms_norm_eps. */
    private double[] compressedRms(double[] x, String name) {
        return isGlm() ? rms(x, name) : rms(x, name, 1e-6);
    }

    private double[] rms(double[] x, String name, double eps) {
        float[] gain = model.weights.get(name);
        double squares = 0;
        for (double v : x) {
            squares += v * v;
        }
        double[] out = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            out[i] = x[i] / Math.sqrt(squares / x.length + eps) * gain[i];
        }
        return out;
    }

    private double[] layerNorm(double[] x, String prefix) {
        double mean = IntStream.range(0, x.length).mapToDouble(i -> x[i]).average().orElseThrow();
        double variance =
                IntStream.range(0, x.length).mapToDouble(i -> (x[i] - mean) * (x[i] - mean)).average().orElseThrow();
        double[] out = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            out[i] = (x[i] - mean) / Math.sqrt(variance + 1e-6) * model.weights.get(prefix + "weight")[i]
                    + model.weights.get(prefix + "bias")[i];
        }
        return out;
    }

    private double[] linear(double[] x, String name) {
        float[] w = model.weights.get(name);
        double[] out = new double[w.length / x.length];
        for (int o = 0; o < out.length; o++) {
            for (int i = 0; i < x.length; i++) {
                out[o] += w[o * x.length + i] * x[i];
            }
        }
        return out;
    }

    private interface RowFunction {
        double[] of(double[] row);
    }

    private static double[][] each(double[][] x, RowFunction function) {
        double[][] out = new double[x.length][];
        for (int t = 0; t < x.length; t++) {
            out[t] = function.of(x[t]);
        }
        return out;
    }

    private static double[] slice(double[] x, int from, int count) {
        double[] out = new double[count];
        System.arraycopy(x, from, out, 0, count);
        return out;
    }

    private static double[] sum(double[] x, double[] y) {
        double[] out = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            out[i] = x[i] + y[i];
        }
        return out;
    }
}
