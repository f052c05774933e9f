package dev.gyre.model;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.QueryRows;
import dev.gyre.model.config.LayerRange;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.StepObserver;
import dev.gyre.model.ops.Tensor;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Some layers of a model, against a model of these layers and {@link NaiveModel}. */
class LayerSliceTest {
    /** Two dense layers before three of experts; layers 2 and 4 share the selections of 1 and 3. */
    private static final String FIELDS = """
            {"architectures": ["DeepseekV32ForCausalLM"], "index_topk_pattern": "FFSFS",
             "vocab_size": 61, "num_hidden_layers": 5, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
             "max_position_embeddings": 256, "hidden_size": 24, "num_attention_heads": 2, "q_lora_rank": 16,
             "kv_lora_rank": 20, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6, "index_n_heads": 3,
             "index_head_dim": 8, "index_topk": 6, "intermediate_size": 30, "first_k_dense_replace": 2,
             "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 10, "n_shared_experts": 1}""";

    @TempDir
    private Path folder;

    @TempDir
    private Path other;

    private final int[] prompt = new Random(8).ints(40, 0, 61).toArray();
    private RandomModel random;

    @BeforeEach
    void write() throws IOException {
        random = new RandomModel(FIELDS, 31);
        random.write(folder);
    }

    private ModelOptions layers(int first, int last) {
        return ModelOptions.defaults().withModel(folder).withThreads(2).withLayers(new LayerRange(first, last));
    }

    @ParameterizedTest
    @CsvSource({"0, 4", "0, 0", "1, 4", "1, 2", "3, 3", "3, 4"})
    void equalsAModelOfTheseLayers(int first, int last) throws IOException {
        RandomModel expected = random.slice(first, last);
        expected.write(other);
        NaiveModel naive = new NaiveModel(expected);
        double[][] logits = naive.logits(prompt);
        try (Model slice = Model.open(layers(first, last));
                Model same = Model.open(ModelOptions.defaults().withModel(other).withThreads(2))) {
            assertEquals(same.parameters(), slice.parameters());
            assertEquals(same.cacheShapes(), slice.cacheShapes());
            assertEquals(last - first + 1, slice.cacheShapes().size());
            Recorded found = Recorded.run(slice, prompt, 11);
            Recorded alone = Recorded.run(same, prompt, 11);
            for (int t = 0; t < prompt.length; t++) {
                assertArrayEquals(alone.logits.get(t), found.logits.get(t));
                for (int i = 0; i < 61; i++) {
                    assertEquals(logits[t][i], found.logits.get(t)[i], 1e-3, "position " + t + ", token " + i);
                }
                for (int layer = 0; layer <= last - first; layer++) {
                    assertArrayEquals(naive.selections.get(layer).get(t), found.selections.get(t).get(layer));
                }
            }
        }
    }

    /** What the first layers of a golden model leave in the stream is what they leave where the others follow. */
    @ParameterizedTest
    @ValueSource(strings = {"v32-yarn", "v32-sharded", "v32-real-head-dims", "v3-dense-attention"})
    void theFirstLayersAreThoseOfTheWholeModel(String name) {
        ModelOptions options = ModelOptions.defaults().withModel(Cases.folder("/golden/" + name)).withThreads(2);
        int[] tokens = Cases.ints(Cases.cases("/golden/" + name + "/expected.json").get(0).get("input_ids"));
        List<float[]> whole = streams(options, tokens);
        List<float[]> slice = streams(options.withLayers(new LayerRange(0, 1)), tokens);
        assertEquals(3, slice.size());
        for (int i = 0; i < slice.size(); i++) {
            assertArrayEquals(whole.get(i), slice.get(i));
        }
    }

    /** The stream of all tokens, behind the embedding and behind each layer. */
    private static List<float[]> streams(ModelOptions options, int[] tokens) {
        List<float[]> streams = new ArrayList<>();
        try (Model model = Model.open(options); ModelRunner runner = model.runner(1, tokens.length)) {
            runner.run(List.of(runner.start()), new int[][] {tokens}, ModelRunner.Wanted.LAST, (s, p, l, at) -> {},
                    new StepObserver() {
                        @Override
                        public void hidden(int layer, QueryRows rows, Tensor stream, Ops ops) {
                            float[] all = new float[rows.rows() * stream.columns()];
                            ops.read(stream, rows.rows(), all);
                            streams.add(all);
                        }
                    });
        }
        return streams;
    }

    /** moe_layer_freq and a policy of sharing count the layers of the model, not those that are run. */
    @Test
    void kindsGoByTheNumberInTheModel() {
        ModelOptions odd = layers(1, 4).withConfigOverride("{\"moe_layer_freq\":2}");
        assertSays(() -> Model.open(odd).close(), "model.layers.3.mlp.gate_proj.weight");
        String full = "{\"index_topk_pattern\":\"FFFFF\"}";
        try (Model model = Model.open(layers(1, 3).withConfigOverride(full)
                .withSelectionPolicy("shared:freq=4,offset=2"))) { // all layers: FFSSS
            assertEquals(List.of(8, 0, 0), model.cacheShapes().stream().map(shape -> shape.index()).toList());
        }
    }

    @Test
    void onlyTheShardsOfTheseLayersAreRead() throws IOException {
        ObjectNode index = new ObjectMapper().createObjectNode();
        random.weights.keySet().forEach(name -> index.withObject("weight_map").put(name, shard(name)));
        Files.delete(folder.resolve("model.safetensors"));
        Files.writeString(folder.resolve("model.safetensors.index.json"), index.toString());
        Files.write(folder.resolve("first.safetensors"),
                random.tensors(name -> shard(name).equals("first.safetensors")).bytes());
        Model.open(layers(0, 2)).close();
        assertSays(() -> Model.open(layers(0, 3)), "has no last.safetensors");
    }

    private static String shard(String tensor) {
        return tensor.matches("model\\.layers\\.[34]\\..*") ? "last.safetensors" : "first.safetensors";
    }

    @Test
    void whatIsWrongInALayerThatIsRunIsFound() throws IOException {
        byte[] extra = random.tensors().addFloats("model.layers.3.extra", new float[3], 3).bytes();
        Files.write(folder.resolve("model.safetensors"), extra);
        assertSays(() -> Model.open(layers(3, 4)), "tensor model.layers.3.extra F32 [3] does not belong");
        Model.open(layers(1, 2)).close();
    }

    @Test
    void ranges() {
        assertEquals(new LayerRange(3, 12), LayerRange.parse("3..12"));
        assertEquals("3..12", LayerRange.parse("3..12").toString());
        assertSays(() -> Model.open(layers(2, 4)), "cannot begin with layer 2", "begin with 1");
        assertSays(() -> Model.open(layers(4, 5)), "--layers 4..5 goes beyond the model, whose layers are 0..4");
        assertSays(() -> LayerRange.parse("4..3"), "holds no layer");
        for (String text : new String[] {"", "4", "..4", "4..", "1.5", "1..x", "-1..2", "1...3", "99999999999..1"}) {
            assertSays(() -> LayerRange.parse(text), "--layers '" + text + "' is no range");
        }
        assertEquals(3, new LayerRange(2, 4).count());
    }
}
