package dev.gyre.model;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.backend.Phase;
import dev.gyre.model.checkpoint.ModelFiles;
import dev.gyre.model.config.LayerRange;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Map;

/** Models of random weights, for which config.json is enough. */
class DummyModelTest {
    private static final int[] PROMPT = {0, 3, 700, 41, 9, 9, 4095, 12, 77, 5};

    @TempDir
    private Path folder;

    @BeforeEach
    void onlyTheConfig() throws IOException {
        Files.write(folder.resolve("config.json"), ModelFiles.embedded().read("config.json"));
    }

    private ModelOptions dummy() {
        return ModelOptions.defaults()
                .withModel(folder)
                .withThreads(2)
                .withLoadFormat(LoadFormat.DUMMY)
                .withIndexTopk(4);
    }

    private static ModelOptions on(String implementation, ModelOptions options) {
        Map<Phase, String> names = new EnumMap<>(Phase.class);
        for (Phase phase : Phase.values()) {
            names.put(phase, implementation);
        }
        return options.withAttention(null, names);
    }

    private static Recorded run(ModelOptions options) {
        try (Model model = Model.open(options)) {
            return Recorded.run(model, PROMPT, 4);
        }
    }

    @Test
    void theSameEachTimeOnAnyThreadsAndImplementation() {
        Recorded first = run(on("vector", dummy()));
        Recorded again = run(on("vector", dummy().withThreads(3)));
        Recorded reference = run(on("reference", dummy()));
        for (int position = 0; position < PROMPT.length; position++) {
            float[] logits = first.logits.get(position);
            assertArrayEquals(logits, again.logits.get(position));
            assertArrayEquals(reference.logits.get(position), logits, 1e-3f);
            for (int layer = 0; layer < 4; layer++) {
                assertArrayEquals(
                        reference.selections.get(position).get(layer), first.selections.get(position).get(layer));
            }
            double squares = 0;
            for (float logit : logits) {
                squares += (double) logit * logit;
            }
            assertEquals(1, Math.sqrt(squares / logits.length), 0.1); // neither vanishing nor growing, and no NaN
        }
    }

    /** Bytes and elements are those of the published format: a tensor's dtype that is wrong changes the sum. */
    @Test
    void takesWhatTheCheckpointTakes() {
        try (Model real = Model.open(ModelOptions.defaults());
                Model dummy = Model.open(dummy());
                Model described = Model.describe(dummy());
                Model noWeights = Model.describe(ModelOptions.defaults().withModel(folder))) {
            for (Model model : new Model[] {dummy, described, noWeights}) {
                assertEquals(real.parameters(), model.parameters());
                assertEquals(real.weightBytes(), model.weightBytes());
            }
            assertThrows(IllegalStateException.class, () -> described.runner(1, 1));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"v32-yarn", "v32-sharded", "v32-real-head-dims", "v3-dense-attention"})
    void alsoOfTheGoldenModels(String name) {
        ModelOptions options = ModelOptions.defaults().withModel(Cases.folder("/golden/" + name));
        try (Model real = Model.open(options); Model dummy = Model.describe(options.withLoadFormat(LoadFormat.DUMMY))) {
            assertEquals(real.parameters(), dummy.parameters());
            assertEquals(real.weightBytes(), dummy.weightBytes());
        }
    }

    /** A layer's weights go by its number in the model. */
    @Test
    void slices() {
        Recorded last = run(dummy().withLayers(new LayerRange(3, 3)));
        Recorded before = run(dummy().withLayers(new LayerRange(2, 2)));
        float difference = 0;
        for (int i = 0; i < 4096; i++) {
            difference = Math.max(difference, Math.abs(last.logits.get(9)[i] - before.logits.get(9)[i]));
        }
        assertTrue(difference > 0.1, "they differ by " + difference);
    }

    @Test
    void whatItCannotDo() {
        assertSays(() -> Model.open(ModelOptions.defaults().withModel(folder)), "has neither model.safetensors");
        assertSays(() -> Model.open(dummy().withConfigOverride("{\"torch_dtype\":\"float8\"}")),
                "torch_dtype", "bfloat16");
        assertSays(() -> Model.open(dummy().withConfigOverride("{\"moe_intermediate_size\":60000000}")),
                "bytes and the machine has", "--layers");
        assertSays(() -> LoadFormat.of("fp8"), "--load-format fp8 is not known");
    }
}
