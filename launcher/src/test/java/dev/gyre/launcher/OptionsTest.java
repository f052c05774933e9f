package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Options that all commands share, and where they may stand. */
class OptionsTest {
    private static final String[] GENERATE = {"generate", "--tokens", "0,5,9", "--json", "--ignore-eos"};

    @TempDir
    private Path folder;

    /** Logits behind eight tokens, of which each layer may attend to three. */
    private static JsonNode logits(String... options) {
        return ofEight(Outcome.join(options, "--index-topk", "3"));
    }

    /** The same with the model's own index_topk, which takes all eight. */
    private static JsonNode ofEight(String... options) {
        String[] base = {"logits", "--tokens", "0,5,9,700,41,8,300,77"};
        return Outcome.json(Outcome.join(base, options)).get("logits").get(0);
    }

    private static double distance(JsonNode one, JsonNode other) {
        double largest = 0;
        for (int i = 0; i < one.size(); i++) {
            largest = Math.max(largest, Math.abs(one.get(i).doubleValue() - other.get(i).doubleValue()));
        }
        return largest;
    }

    private static int completed(Map<String, String> environment, String... options) {
        JsonNode answer = Outcome.with(environment, Outcome.join(GENERATE, options)).json();
        return answer.get("usage").get("completion_tokens").intValue();
    }

    @Test
    void nsaIsDsaAndTheDefault() {
        JsonNode dsa = logits("--attention-backend", "dsa");
        assertEquals(dsa, logits("--attention-backend", "nsa"));
        assertEquals(dsa, logits());
    }

    @Test
    void denseAttendsToEverything() {
        JsonNode dense = logits("--attention-backend", "dense");
        assertTrue(distance(dense, logits()) > 1e-3);
        assertTrue(distance(dense, ofEight()) < 1e-3);
    }

    @ParameterizedTest
    @ValueSource(strings = {"prefill", "decode", "indexer", "topk"})
    void nsaNamesOfPhases(String phase) {
        assertEquals(logits("--dsa-" + phase + "-backend", "reference"),
                logits("--nsa-" + phase + "-backend", "reference"));
        Outcome bogus = Outcome.of("info", "--nsa-" + phase + "-backend", "bogus");
        assertEquals(2, bogus.code(), bogus.err());
    }

    @ParameterizedTest
    @CsvSource({"f32, 0, 0", "bf16, 1e-5, 0.5", "fp8_e4m3, 1e-5, 2"})
    void cacheDtypes(String dtype, double least, double most) {
        double found = distance(ofEight(), ofEight("--kv-cache-dtype", dtype));
        assertTrue(found >= least && found <= most, dtype + " is off by " + found);
    }

    @Test
    void fastMeansBf16Caches() {
        assertEquals(logits("--kv-cache-dtype", "bf16"), logits("--precision", "fast"));
        assertEquals(logits("--kv-cache-dtype", "f32"), logits("--precision", "exact"));
    }

    @Test
    void threadsAndChunksDoNotChangeResults() {
        assertEquals(logits(), logits("--threads", "1"));
        assertEquals(logits(), logits("--threads", "3", "--prefill-chunk", "3", "--score-buffer", "64"));
    }

    @Test
    void overridesLieOverConfig() {
        assertEquals(logits(), ofEight("--config-override", "{\"index_topk\":3}"));
    }

    @Test
    void environmentGivesDefaults() {
        Map<String, String> two = Map.of("GYRE_MAX_NEW_TOKENS", "2");
        assertEquals(2, completed(two));
        assertEquals(3, completed(two, "--max-new-tokens", "3"));
        String model = Outcome.golden("v32-yarn").toString();
        assertEquals(model, Outcome.with(Map.of("GYRE_MODEL", model, "GYRE_JSON", "true"), "info").json()
                .get("model").textValue());
        assertNotEquals(0, Outcome.with(Map.of("GYRE_DSA_TOPK_BACKEND", "bogus"), "info").code());
    }

    /** Unset as shells and container files write it; a version that has nothing to do with --version. */
    @Test
    void environmentThatSaysNothing() {
        Map<String, String> environment = Map.of("GYRE_THREADS", "", "GYRE_MODEL", "", "GYRE_VERSION", "0.1");
        assertEquals(1, completed(environment, "--max-new-tokens", "1"));
    }

    /** A prompt stands on the command line; what the environment says must not take its place unseen. */
    @Test
    void environmentIsNoPrompt() {
        Map<String, String> other = Map.of("GYRE_TOKENS", "3,4", "GYRE_PROMPT", "x", "GYRE_PROMPT_FILE", "y");
        String[] args = {"logits", "--prompt", "hello", "--json"};
        assertEquals(Outcome.of(args).json(), Outcome.with(other, args).json());
        Outcome none = Outcome.with(other, "generate");
        assertEquals(2, none.code());
        assertTrue(none.err().contains("--prompt=TEXT | --prompt-file=FILE | --tokens=IDS"), none.err());
    }

    @Test
    void argumentsFromAFile() throws IOException {
        Path file = Files.writeString(folder.resolve("args"), "--max-new-tokens 2\n# said of itself\n--seed=7\n");
        assertEquals(2, completed(Map.of(), "@" + file));
    }

    @Test
    void helpAndVersion() {
        for (String command : new String[] {"generate", "chat", "serve", "logits", "inspect", "tokenize", "detokenize",
            "perplexity", "bench", "info", "devices"}) {
            Outcome help = Outcome.of(command, "--help").succeeded();
            assertTrue(help.out().startsWith("Usage: engine " + command), help.out());
            assertEquals("", help.err());
        }
        assertTrue(Outcome.of("--help").succeeded().out().contains("perplexity"));
        assertTrue(Outcome.of("--version").succeeded().out().matches("gyre \\d+\\.\\d+.* on .*\\R"));
    }
}
