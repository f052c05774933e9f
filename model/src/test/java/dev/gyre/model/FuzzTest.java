package dev.gyre.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.EngineException;
import dev.gyre.model.generate.ModelRunner;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Damaged model folders: opening one ends in success or in an {@link EngineException}, and so does a step of two tokens
 * behind a success. Nothing else may be thrown, not even for want of memory: the mutants ask for sizes that the
 * machine does not have.
 */
@Timeout(60)
class FuzzTest {
    private static final String CONFIG = """
            {"architectures": ["DeepseekV32ForCausalLM"], "vocab_size": 7, "num_hidden_layers": 2, "rms_norm_eps": 1e-6,
             "max_position_embeddings": 64, "hidden_act": "silu", "scoring_func": "sigmoid", "topk_method": "noaux_tc",
             "hidden_size": 4, "num_attention_heads": 2, "q_lora_rank": 3, "kv_lora_rank": 4, "qk_nope_head_dim": 3,
             "qk_rope_head_dim": 2, "v_head_dim": 2, "index_n_heads": 2, "index_head_dim": 4, "index_topk": 1,
             "intermediate_size": 5, "moe_intermediate_size": 3, "first_k_dense_replace": 1, "n_routed_experts": 4,
             "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1, "n_shared_experts": 1, "norm_topk_prob": true,
             "routed_scaling_factor": 2.5, "moe_layer_freq": 1, "num_nextn_predict_layers": 0, "eos_token_id": [1, 2],
             "attention_bias": false, "tie_word_embeddings": false, "rope_theta": 10000.0,
             "rope_scaling": {"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 16, "beta_fast": 8,
               "beta_slow": 1, "mscale": 1, "mscale_all_dim": 1},
             "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}}""";
    private static final List<String> VALUES = List.of(
            "null", "-1", "0", "1", "2", "3", "8", "67108864", "2147483647", "9223372036854775807", "1e308", "1e-308",
            "0.5", "-0.0", "1e999", "123456789012345678901234567890", "\"\"", "\"text\"", "\"\\u0000\"", "true",
            "false", "[]", "{}", "[[[]]]", "[-1]", "[0, 0]", "{\"a\": 1, \"b\": 2}");
    private static final Pattern NUMBER = Pattern.compile("\\d+");

    private final ObjectMapper mapper = new ObjectMapper();
    @TempDir
    private Path folder;
    private RandomModel model;
    private TensorFile tensors;
    private int[] prompt = {0, 1};
    private int opened;
    private int rejected;

    @BeforeEach
    void write() throws IOException {
        model = new RandomModel(CONFIG, 30);
        model.write(folder);
        tensors = model.tensors();
        tryOut("the model itself");
        assertEquals(1, opened);
    }

    private void tryOut(String mutant) {
        try (Model model = Model.open(ModelOptions.defaults().withModel(folder).withThreads(1))) {
            try (ModelRunner runner = model.runner(1, prompt.length)) {
                runner.run(List.of(runner.start()), new int[][] {prompt}, ModelRunner.Wanted.ALL, (s, p, l, at) -> {});
            }
            opened++;
        } catch (EngineException e) {
            assertNotNull(e.getMessage());
            assertTrue(e.getMessage().length() <= 1000, e.getMessage());
            assertTrue(e.getMessage().chars().noneMatch(Character::isISOControl), e.getMessage());
            rejected++;
        } catch (Throwable e) {
            fail("a mutant ends in " + e.getClass().getName() + ": " + mutant, e);
        }
    }

    private void tryOut(String file, byte[] bytes) throws IOException {
        Files.write(folder.resolve(file), bytes);
        String text = new String(bytes, StandardCharsets.UTF_8);
        tryOut(file + " = " + text.substring(0, Math.min(text.length(), 6000)));
    }

    /** Flips, removes, inserts and repeats bytes, swaps numbers, nests deeply. */
    private static byte[] damage(byte[] original, Random random) {
        int at = random.nextInt(original.length);
        String text = new String(original, StandardCharsets.ISO_8859_1);
        String changed = switch (random.nextInt(8)) {
            case 0 -> text.substring(0, at);
            case 1 -> text.substring(0, at) + (char) random.nextInt(256) + text.substring(at);
            case 2 -> text.substring(0, at) + text.substring(Math.min(text.length(), at + 1 + random.nextInt(9)));
            case 3 -> text.substring(0, at) + "[".repeat(1 << random.nextInt(18)) + text.substring(at);
            case 4 -> text.substring(0, at) + "{\"a\":".repeat(1 << random.nextInt(16)) + text.substring(at);
            case 5, 6 -> swapNumber(text, random);
            default -> null;
        };
        if (changed != null) {
            return changed.getBytes(StandardCharsets.ISO_8859_1);
        }
        byte[] flipped = original.clone();
        for (int i = 0; i <= random.nextInt(3); i++) {
            flipped[random.nextInt(flipped.length)] ^= (byte) (1 << random.nextInt(8));
        }
        return flipped;
    }

    /** Puts a number of the text, or an odd one, in the place of another. */
    private static String swapNumber(String text, Random random) {
        List<int[]> places = new ArrayList<>();
        Matcher matcher = NUMBER.matcher(text);
        while (matcher.find()) {
            places.add(new int[] {matcher.start(), matcher.end()});
        }
        if (places.isEmpty()) {
            return text;
        }
        int[] to = places.get(random.nextInt(places.size()));
        int[] from = places.get(random.nextInt(places.size()));
        String value = random.nextBoolean()
                ? text.substring(from[0], from[1])
                : VALUES.get(random.nextInt(VALUES.size()));
        return text.substring(0, to[0]) + value + text.substring(to[1]);
    }

    @Test
    void safetensorsHeaders() throws IOException {
        Random random = new Random(31);
        byte[] header = tensors.header.toString().getBytes(StandardCharsets.UTF_8);
        for (int i = 0; i < 900; i++) {
            byte[] damaged = damage(header, random);
            tryOut("model.safetensors", TensorFile.of(damaged.length, damaged, tensors.data()));
        }
        assertTrue(rejected > 700 && opened > 1, opened + " mutants opened, " + rejected + " were rejected");
    }

    @Test
    void safetensorsLengthsAndFiles() throws IOException {
        Random random = new Random(32);
        byte[] header = tensors.header.toString().getBytes(StandardCharsets.UTF_8);
        for (int i = 0; i < 200; i++) {
            long length = i % 2 == 0 ? header.length + random.nextInt(9) - 4 : random.nextLong() >> random.nextInt(64);
            tryOut("model.safetensors", TensorFile.of(length, header, tensors.data()));
        }
        byte[] file = tensors.bytes();
        for (int i = 0; i < 400; i++) {
            tryOut("model.safetensors", damage(file, random));
        }
    }

    /** Fields of the entries, by structure, so that the header stays JSON. */
    @Test
    void safetensorsEntries() throws IOException {
        Random random = new Random(33);
        for (int i = 0; i < 900; i++) {
            ObjectNode header = tensors.header.deepCopy();
            replaceSomething(header, random);
            tryOut("model.safetensors", TensorFile.of(header.toString(), tensors.data()));
        }
    }

    @Test
    void configBytes() throws IOException {
        Random random = new Random(34);
        byte[] config = CONFIG.getBytes(StandardCharsets.UTF_8);
        for (int i = 0; i < 900; i++) {
            tryOut("config.json", damage(config, random));
        }
    }

    @Test
    void configFields() throws IOException {
        Random random = new Random(35);
        for (int i = 0; i < 1200; i++) {
            ObjectNode config = model.config.deepCopy();
            for (int changes = 0; changes <= random.nextInt(2); changes++) {
                replaceSomething(config, random);
            }
            tryOut("config.json", config.toString().getBytes(StandardCharsets.UTF_8));
        }
        assertTrue(opened > 100 && rejected > 500, opened + " mutants opened, " + rejected + " were rejected");
    }

    /** Every field with every odd value. */
    @Test
    void everyFieldOfTheConfig() throws IOException {
        for (String field : (Iterable<String>) model.config::fieldNames) {
            for (String value : VALUES) {
                ObjectNode config = model.config.deepCopy();
                config.set(field, mapper.readTree(value));
                tryOut("config.json", config.toString().getBytes(StandardCharsets.UTF_8));
            }
        }
    }

    @Test
    void indexFiles() throws IOException {
        Files.move(folder.resolve("model.safetensors"), folder.resolve("part.safetensors"));
        ObjectNode index = mapper.createObjectNode();
        index.putObject("metadata").put("total_size", 5);
        ObjectNode map = index.putObject("weight_map");
        tensors.header.fieldNames().forEachRemaining(name -> map.put(name, "part.safetensors"));
        String file = "model.safetensors.index.json";
        byte[] good = index.toString().getBytes(StandardCharsets.UTF_8);
        tryOut(file, good);
        assertEquals(2, opened);
        Random random = new Random(36);
        for (int i = 0; i < 400; i++) {
            tryOut(file, damage(good, random));
            ObjectNode changed = index.deepCopy();
            replaceSomething(changed, random);
            tryOut(file, changed.toString().getBytes(StandardCharsets.UTF_8));
        }
    }

    /** Sizes that no tensor of the checkpoint confirms must not be allocated. */
    @ParameterizedTest
    @ValueSource(strings = {
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "q_lora_rank", "kv_lora_rank",
        "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "index_n_heads", "index_head_dim", "index_topk",
        "intermediate_size", "moe_intermediate_size", "first_k_dense_replace", "n_shared_experts", "moe_layer_freq",
        "n_routed_experts", "num_experts_per_tok", "max_position_embeddings", "num_nextn_predict_layers",
    })
    void absurdSizes(String field) throws IOException {
        prompt = new int[60]; // times 2^26 is more than any array holds
        for (String other : List.of("{}", "{\"first_k_dense_replace\":0}", "{\"first_k_dense_replace\":2}",
                "{\"n_group\":1,\"topk_group\":1}",
                "{\"num_hidden_layers\":1,\"num_nextn_predict_layers\":67108864}")) {
            RandomModel shaped = new RandomModel(
                    model.config.deepCopy().setAll((ObjectNode) mapper.readTree(other)).toString(), 37);
            shaped.write(folder);
            // the checkpoint fits but for the one size
            shaped.config.put(field, 1 << 26);
            tryOut("config.json", shaped.config.toString().getBytes(StandardCharsets.UTF_8));
        }
    }

    /** Replaces or removes a field or element anywhere in a tree. */
    private void replaceSomething(JsonNode root, Random random) throws IOException {
        List<Runnable> changes = new ArrayList<>();
        JsonNode value = mapper.readTree(VALUES.get(random.nextInt(VALUES.size())));
        collect(root, value, random.nextInt(10) == 0, changes);
        changes.get(random.nextInt(changes.size())).run();
    }

    private static void collect(JsonNode node, JsonNode value, boolean remove, List<Runnable> changes) {
        if (node instanceof ObjectNode object) {
            object.fieldNames().forEachRemaining(name -> {
                changes.add(() -> {
                    if (remove) {
                        object.remove(name);
                    } else {
                        object.set(name, value);
                    }
                });
                collect(object.get(name), value, remove, changes);
            });
        } else if (node instanceof ArrayNode array) {
            for (int i = 0; i < array.size(); i++) {
                int at = i;
                changes.add(() -> {
                    if (remove) {
                        array.remove(at);
                    } else {
                        array.set(at, value);
                    }
                });
                collect(array.get(i), value, remove, changes);
            }
        }
    }
}
