package dev.gyre.model.generate;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.model.Cases;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/** How texts end, on the embedded model, whose greedy continuation is " I have the satisfaction from informing …". */
class GeneratorTest {
    private static final int CONTEXT = 24;
    private static Model model;
    private static int[] prompt;
    private static int[] continuation;

    @TempDir
    private Path folder;

    @BeforeAll
    static void open() {
        model = Model.open(ModelOptions.defaults().withContextLength(CONTEXT));
        JsonNode expected = Cases.cases("/tiny-v32/expected.json").get(0);
        prompt = Cases.ints(expected.get("input_ids"));
        continuation = Cases.ints(expected.get("greedy_continuation"));
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static GenerationOptions options(int most, List<String> stop, Set<Integer> stopTokens, boolean ignoreEos) {
        return new GenerationOptions(most, SamplingOptions.GREEDY, stop, stopTokens, ignoreEos);
    }

    /** What the first tokens of the continuation say. */
    private static String text(int count) {
        return model.tokenizer().decode(Arrays.copyOf(continuation, count), true);
    }

    /** Generates, and checks that what was streamed is the text. */
    private static Generation generate(Model model, GenerationOptions options) {
        try (ModelRunner runner = model.runner(1, CONTEXT)) {
            StringBuilder streamed = new StringBuilder();
            Sequence sequence = runner.start();
            Generation result = new Generator(model, runner).generate(sequence, prompt, options, piece -> {
                assertFalse(piece.isEmpty());
                streamed.append(piece);
            });
            assertEquals(result.text(), streamed.toString());
            assertEquals(prompt.length, result.promptTokens());
            // the last token is not run
            assertEquals(prompt.length + result.outputIds().length - 1, sequence.length());
            return result;
        }
    }

    private static Generation generate(GenerationOptions options) {
        return generate(model, options);
    }

    @Test
    void mostNewTokens() {
        Generation result = generate(GenerationOptions.greedy(5));
        assertArrayEquals(Arrays.copyOf(continuation, 5), result.outputIds());
        assertEquals(text(5), result.text());
        assertEquals(Generation.FinishReason.LENGTH, result.finishReason());
        assertEquals(1, generate(GenerationOptions.greedy(1)).outputIds().length);
    }

    /** A prompt of 16 in a context of 24: eight tokens are run behind it and one more comes of the last. */
    @Test
    void endOfTheContext() {
        assertEquals(16, prompt.length);
        Generation result = generate(GenerationOptions.greedy(1000));
        assertArrayEquals(Arrays.copyOf(continuation, 9), result.outputIds());
        assertEquals(Generation.FinishReason.LENGTH, result.finishReason());
    }

    /** The token that ends a text is among the ids and not in the text. */
    @Test
    void stopToken() {
        Generation result = generate(options(8, List.of(), Set.of(continuation[3]), false));
        assertArrayEquals(Arrays.copyOf(continuation, 4), result.outputIds());
        assertEquals(text(3), result.text());
        assertEquals(Generation.FinishReason.STOP, result.finishReason());
    }

    /** The model's end of text ends it, unless that is to be ignored. */
    @Test
    void endOfText() {
        String eos = "{\"eos_token_id\":" + continuation[2] + "}";
        // generation_config.json's end of text goes before config.json's: a folder without the former
        try (Model ending = Model.open(ModelOptions.defaults()
                .withModel(withoutGenerationConfig())
                .withConfigOverride(eos))) {
            Generation result = generate(ending, options(6, List.of(), Set.of(), false));
            assertArrayEquals(Arrays.copyOf(continuation, 3), result.outputIds());
            assertEquals(Generation.FinishReason.STOP, result.finishReason());
            Generation ignoring = generate(ending, options(6, List.of(), Set.of(), true));
            assertArrayEquals(Arrays.copyOf(continuation, 6), ignoring.outputIds());
            assertEquals(Generation.FinishReason.LENGTH, ignoring.finishReason());
        }
    }

    private Path withoutGenerationConfig() {
        try {
            Path source = Path.of("../models/tiny-v32");
            for (String file : List.of("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")) {
                Files.copy(source.resolve(file), folder.resolve(file));
            }
            return folder;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A stop string that two tokens make up: neither its first token nor what follows is shown. */
    @Test
    void stopString() {
        String text = text(8);
        int at = text(4).length();
        String stop = text.substring(at - 2, at + 2);
        assertEquals(at - 2, text.indexOf(stop));
        Generation result = generate(options(8, List.of("never", stop), Set.of(), false));
        assertEquals(text.substring(0, at - 2), result.text());
        assertArrayEquals(Arrays.copyOf(continuation, result.outputIds().length), result.outputIds());
        assertTrue(result.outputIds().length >= 5 && result.outputIds().length < 8);
        assertEquals(Generation.FinishReason.STOP, result.finishReason());
    }

    /** The beginning of a stop string at the end of the text is text. */
    @Test
    void heldTextIsShownAtTheEnd() {
        String text = text(6);
        String stop = text.substring(text.length() - 3) + "\u0001";
        Generation result = generate(options(6, List.of(stop), Set.of(), false));
        assertEquals(text, result.text());
        assertEquals(Generation.FinishReason.LENGTH, result.finishReason());
    }

    @Test
    void wrongOptions() {
        assertSays(() -> GenerationOptions.greedy(0), "--max-new-tokens", "0");
        assertSays(() -> options(1, List.of(""), Set.of(), false), "--stop");
    }

    /** A second turn continues the sequence: the same tokens as in one prompt. */
    @Test
    void secondTurn() {
        try (ModelRunner runner = model.runner(1, CONTEXT)) {
            Generator generator = new Generator(model, runner);
            Sequence sequence = runner.start();
            generator.generate(sequence, Arrays.copyOf(prompt, 6), GenerationOptions.greedy(1), text -> {});
            int[] rest = Arrays.copyOfRange(prompt, 6, prompt.length);
            Generation second = generator.generate(sequence, rest, GenerationOptions.greedy(3), text -> {});
            assertArrayEquals(Arrays.copyOf(continuation, 3), second.outputIds());
            assertEquals(prompt.length - 6, second.promptTokens());
        }
    }

    @Test
    void seededSamplingRepeats() {
        SamplingOptions sampling = new SamplingOptions(1.5, 0, 0.95, 0, 1.1, 0.1, 0.1, 42);
        GenerationOptions options = new GenerationOptions(6, sampling, List.of(), Set.of(), true);
        assertArrayEquals(generate(options).outputIds(), generate(options).outputIds());
    }
}
