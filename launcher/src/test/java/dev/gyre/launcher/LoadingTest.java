package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** What a model needs before it is loaded, and models of which little or nothing is there to load. */
class LoadingTest {
    private static final String V32 = """
            {"architectures": ["DeepseekV32ForCausalLM"], "torch_dtype": "bfloat16", "vocab_size": 129280,
             "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128, "q_lora_rank": 1536,
             "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
             "index_n_heads": 64, "index_head_dim": 128,
             "index_topk": 2048, "first_k_dense_replace": 3, "intermediate_size": 18432,
             "moe_intermediate_size": 2048, "n_routed_experts": 256, "num_experts_per_tok": 8, "n_group": 8,
             "topk_group": 4, "n_shared_experts": 1, "routed_scaling_factor": 2.5, "max_position_embeddings": 163840,
             "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}}""";

    @TempDir
    private Path folder;

    /** The names of an object's fields, in their order. */
    private static List<String> names(JsonNode object) {
        return object.propertyStream().map(Map.Entry::getKey).toList();
    }

    @Test
    void memoryPlan() {
        JsonNode plan = Outcome.json("info", "--kv-cache-dtype", "fp8_e4m3", "--batch", "3", "--context-length", "100")
                .get("memory_plan");
        assertEquals(List.of("memory", "memory_bytes", "usable_bytes", "sequences", "context_length",
                "weight_bytes_by_format", "weight_bytes", "cache_bytes", "workspace_bytes", "total_bytes", "fits",
                "longest_context", "layers_that_fit"), names(plan));
        assertEquals(List.of("BF16", "F32", "F8_E4M3"), names(plan.get("weight_bytes_by_format")));
        assertEquals(4L * (656 + 132) * 3 * 128, plan.get("cache_bytes").longValue()); // whole pages of 64
        long sum = plan.get("weight_bytes").longValue() + plan.get("cache_bytes").longValue()
                + plan.get("workspace_bytes").longValue();
        assertEquals(sum, plan.get("total_bytes").longValue());
        assertEquals(Outcome.json("info").get("weight_bytes"), plan.get("weight_bytes"));
        assertEquals(8192, plan.get("longest_context").intValue());
        assertTrue(plan.get("fits").booleanValue());
    }

    /** DeepSeek-V3.2's config.json: 671 billion parameters, of which this machine has room for some layers. */
    @Test
    void whatALargeModelNeeds() throws IOException {
        Files.writeString(folder.resolve("config.json"), V32);
        JsonNode info = Outcome.json("info", "--model", folder.toString(), "--kv-cache-dtype", "fp8_e4m3");
        assertEquals("counted by config.json", info.get("weights").textValue());
        assertEquals(671.9e9, info.get("parameters").doubleValue(), 0.1e9);
        JsonNode plan = info.get("memory_plan");
        assertFalse(plan.get("fits").booleanValue());
        assertEquals(0, plan.get("longest_context").intValue());
        assertTrue(plan.get("layers_that_fit").intValue() < 61);
        JsonNode slice = Outcome.json("info", "--model", folder.toString(), "--layers", "3..3", "--batch", "128",
                "--context-length", "32768", "--load-format", "dummy");
        assertEquals(3, slice.get("first_layer").intValue());
        assertEquals(1, slice.get("layers").intValue());
        assertEquals(128L * 32768 * (576 + 128) * 4, slice.get("memory_plan").get("cache_bytes").longValue());
    }

    /** A folder that has no weights, and no tokenizer. */
    @Test
    void dummyWeights() throws IOException {
        Files.copy(Outcome.root().resolve("models/tiny-v32/config.json"), folder.resolve("config.json"));
        String[] dummy = {"--model", folder.toString(), "--load-format", "dummy", "--layers", "1..2"};
        String[] prompt = {"generate", "--tokens", "5,6,700", "--max-new-tokens", "6", "--ignore-eos"};
        JsonNode answer = Outcome.json(Outcome.join(prompt, dummy));
        assertEquals(6, answer.get("output_ids").size());
        assertEquals("", answer.get("text").textValue());
        assertEquals(answer.get("output_ids"), Outcome.json(Outcome.join(prompt, dummy)).get("output_ids"));
        JsonNode row = Outcome.json(Outcome.join(
                new String[] {"bench", "--prefill", "4", "--decode", "2", "--depth", "9", "--repetitions", "1"}, dummy))
                .get("results").get(0);
        assertTrue(row.get("decode_tokens_per_second").doubleValue() > 0, row.toString());
    }

    @Test
    void whatTornadoVmMayTake() {
        assertEquals(4L << 30, DeviceLimit.bytes(null));
        assertEquals(60L << 30, DeviceLimit.bytes("60GB"));
        assertEquals(512L << 20, DeviceLimit.bytes("512MB"));
        assertEquals(7, DeviceLimit.bytes("7"));
        assertEquals(4L << 30, DeviceLimit.bytes("much"));
    }
}
