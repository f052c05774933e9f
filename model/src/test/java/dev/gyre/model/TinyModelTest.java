package dev.gyre.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.Generator;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.Perplexity;
import dev.gyre.model.generate.SamplingOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** The embedded default model: FP8 weights, its tokenizer, and what was measured where it was trained. */
class TinyModelTest {
    private static final String EXPECTED = "/tiny-v32/expected.json";

    @Test
    void logitsSelectionsAndGreedyTokens() {
        try (Model model = Model.open(ModelOptions.defaults())) {
            for (JsonNode expected : Cases.cases(EXPECTED)) {
                GoldenTest.check(expected, Recorded.run(model, Cases.ints(expected.get("input_ids")), 1000));
            }
        }
    }

    @Test
    void greedyText() {
        for (JsonNode expected : Cases.cases(EXPECTED)) {
            int[] ids = Cases.ints(expected.get("greedy_continuation"));
            StringBuilder streamed = new StringBuilder();
            Generation result = generate(Cases.ints(expected.get("input_ids")), ids.length, streamed);
            assertArrayEquals(ids, result.outputIds());
            assertEquals(expected.get("greedy_text").textValue(), result.text());
            assertEquals(result.text(), streamed.toString());
        }
    }

    private static Generation generate(int[] prompt, int count, StringBuilder streamed) {
        try (Model model = Model.open(ModelOptions.defaults());
                ModelRunner runner = model.runner(1, prompt.length + count)) {
            GenerationOptions greedy =
                    new GenerationOptions(count, SamplingOptions.GREEDY, List.of(), Set.of(), true);
            return new Generator(model, runner).generate(runner.start(), prompt, greedy, streamed::append);
        }
    }

    /** The reference perplexities at 1024 tokens of context, each within 0.3%, on the whole held-out text. */
    @ParameterizedTest
    @ValueSource(strings = {"sparse", "dense", "top-64", "top-8"})
    void heldOutPerplexity(String selection) {
        ModelOptions options = switch (selection) {
            case "dense" -> ModelOptions.defaults().withAttention("dense", Map.of());
            case "top-64" -> ModelOptions.defaults().withIndexTopk(64);
            case "top-8" -> ModelOptions.defaults().withIndexTopk(8);
            default -> ModelOptions.defaults();
        };
        for (JsonNode expected : Cases.json("/tiny-v32/perplexity.json").get("results")) {
            if (expected.get("context").intValue() == 1024 && expected.get("selection").textValue().equals(selection)) {
                Perplexity found = perplexity(options, 1024);
                assertEquals(expected.get("tokens").intValue(), found.tokens());
                double perplexity = expected.get("perplexity").doubleValue();
                assertEquals(perplexity, found.perplexity(), 0.003 * perplexity);
            }
        }
    }

    /** What smaller caches cost on the first 2048 tokens: bf16 within 0.1%, FP8 within 1%. */
    @ParameterizedTest
    @EnumSource(value = CacheDtype.class, names = {"BF16", "FP8_E4M3"})
    void smallerCachesCostLittle(CacheDtype dtype) {
        double exact = perplexityOfStart(ModelOptions.defaults());
        double found = perplexityOfStart(ModelOptions.defaults().withCacheDtype(dtype));
        assertEquals(exact, found, exact * (dtype == CacheDtype.BF16 ? 0.001 : 0.01));
        assertTrue(exact != found, "the dtype must have an effect");
    }

    private static double perplexityOfStart(ModelOptions options) {
        try (Model model = Model.open(options)) {
            int[] tokens = Arrays.copyOf(model.tokenizer().encodeWithBos(heldOut()), 2048);
            return Perplexity.measure(model, tokens, 1024, done -> {}).perplexity();
        }
    }

    private static Perplexity perplexity(ModelOptions options, int context) {
        try (Model model = Model.open(options)) {
            return Perplexity.measure(model, model.tokenizer().encodeWithBos(heldOut()), context, done -> {});
        }
    }

    private static String heldOut() {
        try {
            return Files.readString(Path.of("../models/tiny-v32/heldout.txt"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Any number of threads gives the same bits. */
    @Test
    void threadsDoNotChangeTheResult() {
        int[] prompt = Arrays.copyOf(Cases.ints(Cases.cases(EXPECTED).get(3).get("input_ids")), 300);
        List<float[]> logits = Stream.of(1, 2, 3)
                .map(threads -> {
                    try (Model model = Model.open(ModelOptions.defaults().withThreads(threads))) {
                        return Recorded.run(model, prompt, 1000).logits.get(299);
                    }
                })
                .toList();
        assertArrayEquals(logits.get(0), logits.get(1));
        assertArrayEquals(logits.get(0), logits.get(2));
    }
}
