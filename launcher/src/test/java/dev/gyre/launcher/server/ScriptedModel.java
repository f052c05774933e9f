package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A model that says what it is told to, so that what the server makes of an answer can be tested: a real checkpoint
 * whose embedding names the token, whose layer adds nothing, and whose head says which token follows which. Every piece
 * of the script is one token. Without thinking it says the script, thinking it says {@link #THOUGHTS} first; bytes of
 * text are tokens of their own.
 */
final class ScriptedModel {
    static final List<String> THOUGHTS = List.of("Let me ", "think.");
    /** A script with text and two calls, whose markers lie across tokens. */
    static final String[] CALLS = {
        "I will look", " it up.", "\n\n<｜DSML｜function", "_calls>\n<｜DSML｜invoke name=\"get_weather\">\n",
        "<｜DSML｜parameter name=\"city\" string=\"true\">Pa", "ris \"X\"</｜DSML｜parameter>\n",
        "<｜DSML｜parameter name=\"days\" string=\"false\">3</｜DSML｜parameter>\n</｜DSML｜inv", "oke>\n",
        "<｜DSML｜invoke name=\"get_time\">\n</｜DSML｜invoke>\n", "</｜DSML｜function_calls>",
    };
    static final int CONTEXT = 4096;
    static final int EOS = 1;

    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final List<String> SPECIAL = List.of("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>",
            "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "｜DSML｜");
    private static final int THINK = 5;
    private static final int END_THINK = 6;
    private static final int HEAD = 4;
    private static final int RANK = 8;
    private static final int INNER = 8;

    private final Map<Integer, Integer> next = new HashMap<>();
    private final ObjectNode vocabulary = MAPPER.createObjectNode();
    private final ArrayNode added = MAPPER.createArrayNode();
    private int size;

    private ScriptedModel(List<String> script) {
        for (String token : SPECIAL) {
            add(token, true);
        }
        for (int b = 0; b < 256; b++) {
            vocabulary.put(byteLevel(b), size++);
        }
        chain(THINK, THOUGHTS, END_THINK);
        chain(END_THINK, script, EOS);
    }

    /** Writes the model into a folder, which is returned; the pieces must differ from each other. */
    static Path write(Path folder, String... script) {
        try {
            new ScriptedModel(List.of(script)).write(folder);
            return folder;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void chain(int from, List<String> pieces, int to) {
        int last = from;
        for (String piece : pieces) {
            int id = size;
            add(piece, false);
            next.put(last, id);
            last = id;
        }
        next.put(last, to);
    }

    private void add(String content, boolean special) {
        added.addObject().put("id", size++).put("content", content).put("single_word", false).put("lstrip", false)
                .put("rstrip", false).put("normalized", false).put("special", special);
    }

    /** How tokenizer.json spells a byte: as itself where that can be seen, else as a character behind U+0100. */
    private static String byteLevel(int b) {
        int hidden = 0;
        for (int i = 0; i <= b; i++) {
            boolean seen = i >= '!' && i <= '~' || i >= 0xA1 && i <= 0xAC || i >= 0xAE;
            if (i == b) {
                return Character.toString(seen ? b : 256 + hidden);
            }
            hidden += seen ? 0 : 1;
        }
        throw new AssertionError();
    }

    private void write(Path folder) throws IOException {
        Files.createDirectories(folder);
        ObjectNode tokenizer = (ObjectNode) MAPPER.readTree(
                ScriptedModel.class.getResourceAsStream("/models/tiny-v32/tokenizer.json"));
        tokenizer.set("added_tokens", added);
        tokenizer.withObject("/model").set("vocab", vocabulary);
        tokenizer.withObject("/model").set("merges", MAPPER.createArrayNode());
        Files.writeString(folder.resolve("tokenizer.json"), tokenizer.toString());
        Files.writeString(folder.resolve("tokenizer_config.json"), """
                {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>", "add_bos_token": true}""");
        Files.writeString(folder.resolve("config.json"), """
                {"architectures": ["DeepseekV3ForCausalLM"], "vocab_size": %1$d, "hidden_size": %1$d, "num_hidden_layers": 1,
                "first_k_dense_replace": 1, "intermediate_size": %2$d, "moe_intermediate_size": 8, "n_routed_experts": 2,
                "n_shared_experts": 0, "num_experts_per_tok": 1, "n_group": 1, "topk_group": 1,
                "routed_scaling_factor": 1.0, "norm_topk_prob": true, "num_attention_heads": 1, "num_key_value_heads": 1,
                "q_lora_rank": %3$d, "kv_lora_rank": %3$d, "qk_nope_head_dim": %4$d, "qk_rope_head_dim": %4$d,
                "v_head_dim": %4$d, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": %5$d,
                "hidden_act": "silu", "attention_bias": false, "tie_word_embeddings": false, "bos_token_id": 0,
                "eos_token_id": %6$d, "scoring_func": "sigmoid", "topk_method": "noaux_tc"}
                """.formatted(size, INNER, RANK, HEAD, CONTEXT, EOS));
        writeWeights(folder.resolve("model.safetensors"));
    }

    private void writeWeights(Path file) throws IOException {
        float[] embedding = new float[size * size];
        float[] head = new float[size * size];
        for (int token = 0; token < size; token++) {
            embedding[token * size + token] = 1;
            head[next.getOrDefault(token, EOS) * size + token] = 10;
        }
        Map<String, float[]> values = new LinkedHashMap<>();
        Map<String, int[]> shapes = new LinkedHashMap<>();
        String layer = "model.layers.0.";
        Object[][] tensors = {
            {"model.embed_tokens.weight", embedding, size, size},
            {layer + "input_layernorm.weight", null, size},
            {layer + "post_attention_layernorm.weight", null, size},
            {layer + "self_attn.q_a_proj.weight", null, RANK, size},
            {layer + "self_attn.q_a_layernorm.weight", null, RANK},
            {layer + "self_attn.q_b_proj.weight", null, 2 * HEAD, RANK},
            {layer + "self_attn.kv_a_proj_with_mqa.weight", null, RANK + HEAD, size},
            {layer + "self_attn.kv_a_layernorm.weight", null, RANK},
            {layer + "self_attn.kv_b_proj.weight", null, 2 * HEAD, RANK},
            {layer + "self_attn.o_proj.weight", null, size, HEAD},
            {layer + "mlp.gate_proj.weight", null, INNER, size},
            {layer + "mlp.up_proj.weight", null, INNER, size},
            {layer + "mlp.down_proj.weight", null, size, INNER},
            {"model.norm.weight", ones(size), size},
            {"lm_head.weight", head, size, size},
        };
        for (Object[] tensor : tensors) {
            int[] shape = new int[tensor.length - 2];
            int count = 1;
            for (int i = 0; i < shape.length; i++) {
                shape[i] = (int) tensor[i + 2];
                count *= shape[i];
            }
            shapes.put((String) tensor[0], shape);
            values.put((String) tensor[0], tensor[1] == null ? new float[count] : (float[]) tensor[1]);
        }
        Files.write(file, safetensors(values, shapes));
    }

    private static float[] ones(int count) {
        float[] ones = new float[count];
        Arrays.fill(ones, 1);
        return ones;
    }

    private static byte[] safetensors(Map<String, float[]> values, Map<String, int[]> shapes) {
        ObjectNode header = MAPPER.createObjectNode();
        long at = 0;
        for (Map.Entry<String, float[]> entry : values.entrySet()) {
            ObjectNode tensor = header.putObject(entry.getKey()).put("dtype", "F32");
            ArrayNode shape = tensor.putArray("shape");
            for (int dimension : shapes.get(entry.getKey())) {
                shape.add(dimension);
            }
            long end = at + entry.getValue().length * 4L;
            tensor.putArray("data_offsets").add(at).add(end);
            at = end;
        }
        byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
        ByteBuffer file = ByteBuffer.allocate((int) (8 + json.length + at)).order(ByteOrder.LITTLE_ENDIAN);
        file.putLong(json.length).put(json);
        values.values().forEach(floats -> {
            for (float value : floats) {
                file.putFloat(value);
            }
        });
        return file.array();
    }
}
