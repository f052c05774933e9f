package dev.gyre.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.attention.backend.Phase;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.EnumMap;
import java.util.Map;

/** Whole models with the vector implementation, against the reference and in every mixture with it. */
class VectorModelTest {
    private static final String[] MODELS = {"v32-yarn", "v32-sharded", "v32-real-head-dims", "v3-dense-attention"};

    private static Map<Phase, String> all(String name) {
        Map<Phase, String> names = new EnumMap<>(Phase.class);
        for (Phase phase : Phase.values()) {
            names.put(phase, name);
        }
        return names;
    }

    private static Model open(String name, Map<Phase, String> names) {
        Model model = Model.open(
                ModelOptions.defaults().withModel(Cases.folder("/golden/" + name)).withAttention(null, names));
        assertEquals(names, model.implementations()); // else the test would compare something with itself
        return model;
    }

    @ParameterizedTest
    @ValueSource(strings = {"v32-yarn", "v32-sharded", "v32-real-head-dims", "v3-dense-attention"})
    void selectionsAndGreedyTokensEqualTheReference(String name) {
        try (Model vector = open(name, all("vector")); Model reference = open(name, all("reference"))) {
            for (JsonNode expected : Cases.cases("/golden/" + name + "/expected.json")) {
                int[] prompt = Cases.ints(expected.get("input_ids"));
                Recorded found = Recorded.run(vector, prompt, 1000);
                GoldenTest.check(expected, found);
                compare(Recorded.run(reference, prompt, 1000), found);
                assertArrayEquals(
                        Recorded.greedyContinuation(reference, prompt, 24), Recorded.greedyContinuation(vector, prompt, 24));
            }
        }
    }

    private static void compare(Recorded expected, Recorded found) {
        assertEquals(expected.greedy, found.greedy);
        assertEquals(expected.selections.keySet(), found.selections.keySet());
        expected.selections.forEach((position, layers) -> {
            assertEquals(layers.keySet(), found.selections.get(position).keySet());
            layers.forEach((layer, chosen) -> assertArrayEquals(
                    chosen, found.selections.get(position).get(layer), "position " + position + ", layer " + layer));
        });
        expected.logits.forEach((position, logits) ->
                assertArrayEquals(logits, found.logits.get(position), 1e-3f, "position " + position));
    }

    /** Each of the phases, in prefill and in decode, next to the others' vector implementations. */
    @ParameterizedTest
    @EnumSource(Phase.class)
    void onePhaseOfTheReference(Phase phase) {
        Map<Phase, String> names = all("vector");
        names.put(phase, "reference");
        for (String name : MODELS) {
            try (Model mixed = open(name, names)) {
                JsonNode expected = Cases.cases("/golden/" + name + "/expected.json").get(0);
                int[] prompt = Cases.ints(expected.get("input_ids"));
                GoldenTest.check(expected, Recorded.run(mixed, prompt, 1000));
                int[] continuation = Cases.ints(expected.get("greedy_continuation"));
                assertArrayEquals(continuation, Recorded.greedyContinuation(mixed, prompt, continuation.length));
            }
        }
    }
}
