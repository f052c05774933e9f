package dev.gyre.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.attention.QueryRows;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.Sequence;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.StepObserver;
import dev.gyre.model.ops.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** The checkpoints of golden/, whose expected results are Hugging Face's and a float64 reference's. */
class GoldenTest {
    private static final double TOLERANCE = 1e-3;

    /** All at once, in chunks of odd sizes, token by token. */
    @ParameterizedTest
    @CsvSource({
        "v32-yarn, 1000", "v32-yarn, 7", "v32-yarn, 1",
        "v32-sharded, 1000", "v32-sharded, 29", "v32-sharded, 1",
        "v32-real-head-dims, 1000", "v32-real-head-dims, 64", "v32-real-head-dims, 1",
        "v3-dense-attention, 1000", "v3-dense-attention, 13", "v3-dense-attention, 1",
    })
    void logitsSelectionsAndGreedyTokens(String name, int chunk) {
        try (Model model = open(name, chunk)) {
            for (JsonNode expected : Cases.cases("/golden/" + name + "/expected.json")) {
                check(expected, Recorded.run(model, Cases.ints(expected.get("input_ids")), 1000));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"v32-yarn", "v32-sharded", "v32-real-head-dims", "v3-dense-attention"})
    void greedyContinuations(String name) {
        try (Model model = open(name, 1000)) {
            for (JsonNode expected : Cases.cases("/golden/" + name + "/expected.json")) {
                int[] continuation = Cases.ints(expected.get("greedy_continuation"));
                int[] prompt = Cases.ints(expected.get("input_ids"));
                assertArrayEquals(continuation, Recorded.greedyContinuation(model, prompt, continuation.length));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"v32-yarn", "v32-sharded", "v32-real-head-dims", "v3-dense-attention"})
    void hiddenStatesAfterEachLayer(String name) {
        try (Model model = open(name, 1000)) {
            for (JsonNode expected : Cases.cases("/golden/" + name + "/expected.json")) {
                List<float[]> found = hiddenStates(model, Cases.ints(expected.get("input_ids")));
                JsonNode states = expected.get("hidden_states_last_position");
                // the last one of Hugging Face's is behind the final norm; the logits test covers that
                for (int layer = 0; layer < states.size() - 1; layer++) {
                    double[] state = Cases.doubles(states.get(layer));
                    for (int i = 0; i < state.length; i++) {
                        assertEquals(state[i], found.get(layer)[i], 1e-2 * Math.max(1, Math.abs(state[i])), "layer " + layer);
                    }
                }
            }
        }
    }

    /** Two prompts in one batch, of different lengths, give what each gives alone, to the bit. */
    @ParameterizedTest
    @CsvSource({"v32-yarn, 1000", "v32-yarn, 11", "v32-sharded, 50", "v32-real-head-dims, 1000", "v3-dense-attention, 31"})
    void batchEqualsEachAlone(String name, int chunk) {
        List<JsonNode> cases = Cases.cases("/golden/" + name + "/expected.json");
        int[] first = Cases.ints(cases.get(0).get("input_ids"));
        int[] second = Arrays.copyOf(Cases.ints(cases.get(1).get("input_ids")), first.length - 17);
        try (Model model = open(name, chunk); ModelRunner runner = model.runner(2, first.length)) {
            Map<Integer, float[]> alone = Recorded.run(model, first, 1000).logits;
            Map<Integer, float[]> other = Recorded.run(model, second, 1000).logits;
            List<Sequence> sequences = List.of(runner.start(), runner.start());
            runner.run(sequences, new int[][] {first, second}, ModelRunner.Wanted.ALL, (s, position, logits, at) ->
                    assertArrayEquals(
                            (s == 0 ? alone : other).get(position),
                            Arrays.copyOfRange(logits, at, at + model.config().vocabulary())));
        }
    }

    /** Selecting everything is attending to everything. */
    @ParameterizedTest
    @ValueSource(strings = {"v32-yarn", "v32-sharded", "v32-real-head-dims"})
    void topkAboveTheLengthEqualsDense(String name) {
        int[] prompt = Cases.ints(Cases.cases("/golden/" + name + "/expected.json").get(0).get("input_ids"));
        ModelOptions options = ModelOptions.defaults().withModel(Cases.folder("/golden/" + name));
        try (Model sparse = Model.open(options.withIndexTopk(prompt.length));
                Model barelySparse = Model.open(options.withIndexTopk(prompt.length - 1));
                Model dense = Model.open(options.withAttention("dense", Map.of()))) {
            Map<Integer, float[]> expected = Recorded.run(dense, prompt, 1000).logits;
            Map<Integer, float[]> found = Recorded.run(sparse, prompt, 1000).logits;
            Map<Integer, float[]> barely = Recorded.run(barelySparse, prompt, 1000).logits;
            expected.forEach((position, logits) -> assertArrayEquals(logits, found.get(position)));
            // all rows but the last select everything, through the sparse path
            for (int position = 0; position < prompt.length - 1; position++) {
                assertArrayEquals(expected.get(position), barely.get(position), 1e-6f);
            }
        }
    }

    private static Model open(String name, int chunk) {
        ModelOptions options = ModelOptions.defaults();
        return Model.open(options.withModel(Cases.folder("/golden/" + name)).withChunks(chunk, options.scoreBuffer()));
    }

    static void check(JsonNode expected, Recorded found) {
        expected.get("logits").properties().forEach(entry -> {
            float[] logits = found.logits.get(Integer.valueOf(entry.getKey()));
            double[] wanted = Cases.doubles(entry.getValue());
            for (int i = 0; i < wanted.length; i++) {
                assertEquals(wanted[i], logits[i], TOLERANCE, "position " + entry.getKey() + ", token " + i);
            }
        });
        int[] greedy = Cases.ints(expected.get("greedy_next"));
        for (int position = 0; position < greedy.length; position++) {
            assertEquals(greedy[position], found.greedy.get(position), "greedy token at " + position);
        }
        if (expected.has("selected_tokens")) {
            expected.get("selected_tokens").properties().forEach(entry -> {
                for (int layer = 0; layer < entry.getValue().size(); layer++) {
                    assertArrayEquals(
                            Cases.ints(entry.getValue().get(layer)),
                            found.selections.get(Integer.valueOf(entry.getKey())).get(layer),
                            "selection at " + entry.getKey() + ", layer " + layer);
                }
            });
        }
    }

    private static List<float[]> hiddenStates(Model model, int[] prompt) {
        List<float[]> states = new ArrayList<>();
        try (ModelRunner runner = model.runner(1, prompt.length)) {
            runner.run(List.of(runner.start()), new int[][] {prompt}, ModelRunner.Wanted.LAST, (s, p, l, at) -> {},
                    new StepObserver() {
                        @Override
                        public void hidden(int layer, QueryRows rows, Tensor stream, Ops ops) {
                            float[] all = new float[rows.rows() * stream.columns()];
                            ops.read(stream, rows.rows(), all);
                            states.add(Arrays.copyOfRange(all, all.length - stream.columns(), all.length));
                        }
                    });
        }
        return states;
    }
}
