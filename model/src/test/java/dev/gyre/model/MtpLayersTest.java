package dev.gyre.model;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Layers for multi-token prediction behind the others are ignored, as many as config.json says and no more. */
class MtpLayersTest {
    private static final String CONFIG = """
            {"architectures": ["DeepseekV3ForCausalLM"], "vocab_size": 7, "num_hidden_layers": 1, "hidden_size": 4,
             "max_position_embeddings": 64, "num_attention_heads": 2, "q_lora_rank": 3, "kv_lora_rank": 4,
             "qk_nope_head_dim": 3, "qk_rope_head_dim": 2, "v_head_dim": 2, "intermediate_size": 5,
             "first_k_dense_replace": 1, "num_nextn_predict_layers": 2}""";

    @TempDir
    private Path folder;

    private Model open(String extraTensor) throws IOException {
        RandomModel model = new RandomModel(CONFIG, 50);
        model.write(folder);
        byte[] file = model.tensors().addFloats(extraTensor, new float[3], 3).bytes();
        Files.write(folder.resolve("model.safetensors"), file);
        return Model.open(ModelOptions.defaults().withModel(folder).withThreads(1));
    }

    @Test
    void layersBehindTheOthersAreIgnored() throws IOException {
        long parameters = new RandomModel(CONFIG, 50).weights.values().stream().mapToLong(w -> w.length).sum();
        for (String tensor : new String[] {"model.layers.1.eh_proj.weight", "model.layers.2.shared_head.norm.weight"}) {
            try (Model model = open(tensor)) {
                assertEquals(parameters, model.parameters());
            }
        }
    }

    @Test
    void otherTensorsAreNot() {
        for (String tensor : new String[] {"model.layers.0.extra", "model.layers.3.extra", "model.layers.10.extra",
            "model.layers.1", "model.layers.x.extra", "model.layers.99999999999.extra", "other.model.layers.1.extra"}) {
            assertSays(() -> open(tensor).close(), "tensor " + tensor + " F32 [3] does not belong");
        }
    }
}
