package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.backend.Providers;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Every mistake of a user is one sentence on stderr, nothing on stdout, and an exit code that tells whose it is. */
class MistakesTest {
    @TempDir
    private Path folder;

    private static void check(int code, String named, Outcome outcome) {
        String err = outcome.err();
        assertEquals(code, outcome.code(), err);
        assertEquals("", outcome.out());
        assertTrue(err.startsWith("engine: ") && err.length() > "engine: x".length(), err);
        assertTrue(err.contains(named) && !err.contains("Error"), err);
        List<String> lines = err.lines().toList();
        assertTrue(lines.size() == 1 || code == 2 && lines.size() == 2 && lines.get(1).startsWith("Try "), err);
        assertTrue(code == 2 || lines.get(0).endsWith("."), err); // picocli's own sentences have no full stop
        for (String never : List.of("Exception", "\tat ", "[Source", "defect")) {
            assertFalse(err.contains(never), err);
        }
    }

    /** Arguments between blanks; a mistake of the command line, which names what is wrong. */
    private static void usage(String named, String args) {
        check(2, named, Outcome.of(args.split(" ")));
    }

    /** A failure behind a command line that could have been right. */
    private static void failure(String named, String... args) {
        check(1, named, Outcome.of(args));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "--frob", "--max-new-tokens 0", "--max-new-tokens -1", "--max-new-tokens many", "--max-new-tokens 99999999999",
        "--temperature -1", "--temperature NaN", "--temperature hot", "--top-p 2", "--top-p 0", "--top-k -1",
        "--min-p 1.5", "--repetition-penalty 0", "--frequency-penalty 1000", "--presence-penalty -1000", "--seed x",
        "--stop-tokens 5,x", "--stop-tokens -5", "--stop-tokens ,", "--attention-backend bogus",
        "--dsa-prefill-backend bogus", "--dsa-decode-backend bogus", "--dsa-indexer-backend bogus",
        "--dsa-topk-backend bogus", "--kv-cache-dtype f64", "--precision sloppy", "--threads 0", "--index-topk -1",
        "--context-length -1", "--load-format safetensors", "--layers 3",
        "--layers 3..1", "--layers a..b", "--layers 1..", "--layers -1..2",
        "--prefill-chunk 0", "--score-buffer 0", "--seed", "--json=perhaps",
    })
    void optionsOfGenerate(String option) {
        String named = option.split("[ =]")[0];
        usage(named, "generate --tokens 5 " + option);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "generate | --prompt",
        "generate --prompt a --tokens 5 | --tokens",
        "generate --tokens 5,x | 'x'",
        "generate --tokens 5;6 | '5;6'",
        "generate --tokens 5,-1 | -1",
        "generate --tokens , | --tokens",
        "generate --tokens 99999999999 | 99999999999",
        "generate stray --tokens 5 | stray",
        "logits --tokens 5 --positions some | 'some'",
        "logits --tokens 5 --positions , | --positions",
        "inspect | --prompt",
        "inspect --tokens 5 --positions some | 'some'",
        "inspect --tokens 5 --positions -1 | -1",
        "inspect --tokens 5 --out | --out",
        "inspect --tokens 5 --selection-policy bogus | bogus",
        "info --selection-policy hisa:blocks=1 | blocks",
        "info --selection-policy recent:sink=9 --index-topk 9 | sink",
        "info --selection-policy oracle --attention-backend dense | dense",
        "info --batch 0 | --batch",
        "info --hisparse-hot-tokens 0 | --hisparse-hot-tokens",
        "info --hisparse-hot-tokens 255 | index_topk",
        "info --hisparse-hot-tokens 300 --attention-backend dense | dense",
        "info --hisparse-dir . | --hisparse-hot-tokens",
        "generate --tokens 5 --hisparse-hot-tokens 300 --hisparse-dir none | none",
        "perplexity | --text-file",
        "bench --prefill 0 --decode 0 | --prefill",
        "bench --prefill -1 | --prefill",
        "bench --repetitions 0 | --repetitions",
        "bench --batch 0 | --batch",
        "bench --batch , | --batch",
        "bench --depth -3 | --depth",
        "bench --format xml | --format",
        "detokenize 5,x | 'x'",
        "frobnicate | frobnicate",
        "--frob | --frob",
        "--json | --json",
    })
    void commandLines(String args, String named) {
        usage(named, args);
    }

    /** Built or not, TornadoVM does not run here; nothing else has devices. */
    @Test
    void tornadoWithoutTornadoVm() {
        boolean built = Providers.load().all().stream().anyMatch(one -> one.name().equals("tornado"));
        for (String option : List.of(
                "--dsa-prefill-backend",
                "--dsa-decode-backend",
                "--dsa-indexer-backend",
                "--dsa-topk-backend",
                "--linear-backend")) {
            Outcome outcome = Outcome.of("generate", "--tokens", "5", option, "tornado");
            check(built ? 1 : 2, option + " tornado", outcome);
            assertTrue(outcome.err().contains("set TORNADOVM_HOME"), outcome.err());
            assertTrue(built || outcome.err().contains("vector, reference"), outcome.err());
        }
        Outcome device = Outcome.with(Map.of("GYRE_DEVICE", "0:0"), "generate", "--tokens", "5");
        check(2, "--dsa-decode-backend tornado", device);
        assertTrue(device.err().startsWith("engine: --device 0:0 needs"), device.err());
        check(2, "--devices 0:0,0:1 needs", Outcome.of("generate", "--tokens", "5", "--devices", "0:0, 0:1"));
        check(2, "exclude one another", Outcome.of("generate", "--tokens", "5", "--devices", "0,1", "--device", "0"));
        for (String bad : List.of(",", "", "0:0,")) {
            check(2, "ids such as 0:0,0:1", Outcome.of("generate", "--tokens", "5", "--devices", bad));
        }
    }

    @Test
    void noCommandAtAll() {
        check(2, "generate", Outcome.of());
    }

    @Test
    void emptyArguments() {
        check(2, "--tokens", Outcome.of("generate", "--tokens", ""));
        check(2, "--stop", Outcome.of("generate", "--tokens", "5", "--stop", ""));
    }

    @Test
    void environment() {
        check(2, "f64", Outcome.with(Map.of("GYRE_KV_CACHE_DTYPE", "f64"), "generate", "--tokens", "5"));
        check(2, "--threads", Outcome.with(Map.of("GYRE_THREADS", "two"), "generate", "--tokens", "5"));
        check(1, "/nowhere", Outcome.with(Map.of("GYRE_MODEL", "/nowhere"), "tokenize", "hello"));
    }

    @Test
    void promptsThatDoNotFit() {
        failure("token 999999", "generate", "--tokens", "999999");
        failure("token 4096", "logits", "--tokens", "4096");
        failure("--context-length", "generate", "--tokens", "1,2,3,4,5,6,7,8,9", "--context-length", "8");
        failure("--context-length", "logits", "--tokens", "1,2,3,4,5,6,7,8,9", "--context-length", "8");
        failure("0..3", "generate", "--tokens", "5", "--layers", "2..4");
        failure("begin with 0", "info", "--layers", "2..3", "--config-override", "{\"index_topk_pattern\":\"FSSS\"}");
        failure("begin with 1", "info", "--layers", "2..3", "--selection-policy", "shared:freq=4");
        failure("8192", "generate", "--tokens", "5", "--context-length", "8193");
        failure("--positions 3", "inspect", "--tokens", "1,2,3", "--positions", "3");
        failure("--context-length", "inspect", "--tokens", "1,2,3,4,5,6,7,8,9", "--context-length", "8");
        failure("--positions 3", "logits", "--tokens", "1,2,3", "--positions", "0,3");
        failure("context", "bench", "--prefill", "9000", "--decode", "0");
        failure("999999", "detokenize", "999999");
    }

    @Test
    void files() throws IOException {
        String none = folder.resolve("none.txt").toString();
        failure(none, "generate", "--prompt-file", none);
        failure(none, "perplexity", "--text-file", none);
        failure(folder.toString(), "generate", "--prompt-file", folder.toString());
        Path latin1 = Files.write(folder.resolve("latin1.txt"), new byte[] {'n', 'a', (byte) 0xEF, 'v', 'e'});
        failure("UTF-8", "generate", "--prompt-file", latin1.toString());
        Path empty = Files.createFile(folder.resolve("empty.txt"));
        failure("at least 2", "perplexity", "--text-file", empty.toString());
        check(2, "--context", Outcome.of("perplexity", "--text-file", empty.toString(), "--context", "1"));
    }

    /** Of an experiment; that it writes nothing then, {@code ExperimentTest} shows. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "--policies dense | --out",
        "--out x | --policies is missing",
        "--out x --policies dense --topk 8 --contexts 64 | --text-file is missing",
        "--out x --policies dense --topk 8,x --contexts 64 --text-file F | 'x'",
        "--out x --policies dense --topk 0 --contexts 64 --text-file F | topk",
        "--out x --policies dense --topk 8 --contexts 1 --text-file F | contexts",
        "--out x --policies dense --topk 8 --contexts 64 --text-file F --probe-every -1 | probe_every",
        "--out x --policies dense,bogus --topk 8 --contexts 64 --text-file F | bogus is not known",
        "--out x --policies hisa:block=64,block=64 --topk 8 --contexts 64 --text-file F | twice",
        "--out x --policies indexer, --topk 8 --contexts 64 --text-file F | is not known",
        "--out x --policies indexer --topk 64 --contexts 64 --text-file F | nothing to select",
        "--out x --sweep F --topk 8 | --sweep",
        "--out x --policies dense --topk 8 --contexts 64 --text-file F --index-topk 8 | --index-topk",
        "--out x --policies dense --topk 8 --contexts 64 --text-file F --selection-policy dense | --selection-policy",
        "--out x --policies indexer --topk 8 --contexts 64 --text-file F --attention-backend dense | dense",
    })
    void experiments(String args, String named) throws IOException {
        Path text = Files.writeString(folder.resolve("text.txt"), "The people. ".repeat(40));
        usage(named, "experiment " + args.replace("--out x", "--out " + folder.resolve("x")).replace(" F", " " + text));
        assertFalse(Files.exists(folder.resolve("x")));
    }

    @Test
    void filesOfExperiments() throws IOException {
        String none = folder.resolve("none").toString();
        String text = Files.writeString(folder.resolve("text.txt"), "The people. ".repeat(40)).toString();
        String[] dense = {"experiment", "--policies", "dense", "--topk", "8", "--contexts", "64", "--text-file"};
        failure(none, Outcome.join(dense, none, "--out", folder.resolve("x").toString()));
        failure("no sweep", "experiment", "--sweep", none, "--out", folder.resolve("x").toString());
        failure("not valid JSON", "experiment", "--sweep", text, "--out", folder.resolve("x").toString());
        failure("holds no experiment", Outcome.join(dense, text, "--out", folder.toString()));
        failure("cannot write", Outcome.join(dense, text, "--out", text));
        failure("no indexer", Outcome.join(
                dense, text, "--out", folder.resolve("x").toString(), "--model", denseModel().toString()));
    }

    /** The dense golden model, which has no tokenizer, with the embedded model's. */
    private Path denseModel() throws IOException {
        Path model = copy("v3-dense-attention");
        Files.copy(Outcome.root().resolve("models/tiny-v32/tokenizer.json"), model.resolve("tokenizer.json"));
        return model;
    }

    @Test
    void noTokenizer() {
        String model = Outcome.golden("v32-sharded").toString();
        failure("tokenizer.json", "generate", "--prompt", "hello", "--model", model);
        failure("tokenizer.json", "tokenize", "hello", "--model", model);
        failure("tokenizer.json", "detokenize", "5", "--model", model);
        failure("tokenizer.json", "chat", "--model", model);
        failure("tokenizer.json", "perplexity", "--text-file", "any.txt", "--model", model);
        failure("tokenizer.json", "experiment", "--policies", "dense", "--topk", "8", "--contexts", "64", "--text-file",
                Outcome.root().resolve("README.md").toString(), "--out", "x", "--model", model);
    }

    @Test
    void sparseOptionsOfADenseModel() {
        String model = Outcome.golden("v3-dense-attention").toString();
        failure("--index-topk", "logits", "--tokens", "5", "--model", model, "--index-topk", "4");
        failure("dsa", "logits", "--tokens", "5", "--model", model, "--attention-backend", "dsa");
        failure("no indexer", "inspect", "--tokens", "5", "--model", model);
        check(2, "recent", Outcome.of("logits", "--tokens", "5", "--model", model, "--selection-policy", "recent"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"nonsense", "[", "{\"index_topk\":", "5", "[]", "", "{\"index_topk\":\"many\"}"})
    void overridesThatAreNone(String json) {
        failure("", "logits", "--tokens", "5", "--config-override", json);
    }

    @Test
    void modelFolders() throws IOException {
        String nowhere = folder.resolve("nowhere").toString();
        for (String command : List.of("info", "tokenize")) {
            failure(nowhere, command, "--model", nowhere);
        }
        failure("config.json", "info", "--model", folder.toString());
    }

    @Test
    void anUnknownArchitecture() throws IOException {
        Path model = copy();
        Path config = model.resolve("config.json");
        String text = Files.readString(config);
        Files.writeString(config, text.replace("DeepseekV32ForCausalLM", "LlamaForCausalLM"));
        failure("LlamaForCausalLM", "info", "--model", model.toString());
    }

    /** Cut in the data, in the header, and in the length of the header. */
    @ParameterizedTest
    @ValueSource(ints = {200_000, 1000, 5, 0})
    void aTruncatedShard(int bytes) throws IOException {
        Path model = copy();
        Path shard = model.resolve("model-00002-of-00002.safetensors");
        Files.write(shard, Arrays.copyOf(Files.readAllBytes(shard), bytes));
        failure("model-00002-of-00002.safetensors", "logits", "--tokens", "5", "--model", model.toString());
    }

    @Test
    void aMissingShard() throws IOException {
        Path model = copy();
        Files.delete(model.resolve("model-00001-of-00002.safetensors"));
        failure("model-00001-of-00002.safetensors", "logits", "--tokens", "5", "--model", model.toString());
    }

    private Path copy() throws IOException {
        return copy("v32-sharded");
    }

    private Path copy(String golden) throws IOException {
        Path model = Files.createDirectory(folder.resolve("model"));
        try (Stream<Path> files = Files.list(Outcome.golden(golden))) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
        return model;
    }
}
