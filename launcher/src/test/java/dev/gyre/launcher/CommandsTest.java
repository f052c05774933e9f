package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;

/** What the commands print, on the embedded model: other programs read it. */
class CommandsTest {
    private static final String PROMPT = "The people";
    private static final String TEXT = "Fellow-Citizens,\r\n\tna\u00efve \u2603 \ud83d\ude00  two";

    @TempDir
    private Path folder;

    /** The names of an object's fields, in their order. */
    private static List<String> names(JsonNode object) {
        assertTrue(object.isObject(), object.toString());
        return object.propertyStream().map(Map.Entry::getKey).toList();
    }

    private static int[] ints(JsonNode array) {
        assertTrue(array.isArray(), array.toString());
        array.forEach(value -> assertTrue(value.isInt(), array.toString()));
        return StreamSupport.stream(array.spliterator(), false).mapToInt(JsonNode::intValue).toArray();
    }

    private static JsonNode generate(String... options) {
        String[] args = {"generate", "--prompt", PROMPT, "--max-new-tokens", "5"};
        return Outcome.json(Outcome.join(args, options));
    }

    @Test
    void generateJson() {
        JsonNode answer = generate();
        assertEquals(List.of("output_ids", "text", "finish_reason", "usage", "timing"), names(answer));
        assertEquals(5, ints(answer.get("output_ids")).length);
        assertFalse(answer.get("text").textValue().isEmpty());
        assertEquals("length", answer.get("finish_reason").textValue());
        assertEquals("{\"prompt_tokens\":3,\"completion_tokens\":5}", answer.get("usage").toString());
        assertEquals(
                List.of("prefill_seconds", "decode_seconds", "prefill_tokens_per_second", "decode_tokens_per_second"),
                names(answer.get("timing")));
        answer.get("timing").forEach(value -> assertTrue(value.isDouble() && value.doubleValue() > 0));
    }

    @Test
    void hotLatents() {
        String[] split = {"--index-topk", "3", "--hisparse-hot-tokens", "4", "--hisparse-dir", folder.toString()};
        JsonNode answer = generate(split);
        assertEquals(generate("--index-topk", "3").get("output_ids"), answer.get("output_ids"));
        JsonNode decode = answer.get("hisparse").get("decode");
        assertEquals(List.of("selected", "hits", "hit_rate", "evictions", "bytes_fetched"), names(decode));
        assertEquals(4 * 4 * 3, decode.get("selected").intValue()); // steps, layers, index_topk
        assertTrue(answer.get("hisparse").get("prefill").get("hits").intValue() > 0);

        String[] text = {"generate", "--prompt", PROMPT, "--max-new-tokens", "5"};
        String err = Outcome.of(Outcome.join(text, split)).succeeded().err();
        assertTrue(err.contains("[decode: ") && err.contains("% of 48 selected latents were hot"), err);

        String[] bench = {"bench", "--prefill", "0", "--decode", "2", "--depth", "9", "--repetitions", "1"};
        JsonNode row = Outcome.json(Outcome.join(bench, split)).get("results").get(0);
        double tokens = 1e6 / row.get("step_host_us").doubleValue(); // without a device a step is all the host's
        assertEquals(row.get("decode_tokens_per_second").doubleValue(), tokens, 1e-6 * tokens);
        assertTrue(!row.has("step_launch_us") && !row.has("step_device_us"), row.toString());
        assertTrue(row.get("hot_latent_hit_percent").doubleValue() < 100, row.toString());
        assertTrue(row.get("bytes_fetched_per_token").doubleValue() > 0, row.toString());
        JsonNode info = Outcome.json(Outcome.join(new String[] {"info"}, split));
        assertEquals(4 * 4 * 2304, info.get("hot_latent_bytes_per_sequence").intValue());
    }

    @Test
    void generateText() {
        Outcome outcome = Outcome.of("generate", "--prompt", PROMPT, "--max-new-tokens", "5").succeeded();
        assertEquals(generate().get("text").textValue() + System.lineSeparator(), outcome.out());
        assertTrue(outcome.err().contains("3 prompt tokens"), outcome.err());
    }

    @Test
    void generateFromFileAndFromTokens() throws IOException {
        Path file = Files.writeString(folder.resolve("prompt.txt"), PROMPT);
        String ids = Outcome.of("tokenize", PROMPT).succeeded().out().strip();
        JsonNode expected = generate().get("output_ids");
        JsonNode fromFile = Outcome.json("generate", "--prompt-file", file.toString(), "--max-new-tokens", "5");
        assertEquals(expected, fromFile.get("output_ids"));
        JsonNode fromTokens = Outcome.json("generate", "--tokens", ids, "--max-new-tokens", "5");
        assertEquals(expected, fromTokens.get("output_ids"));
    }

    @Test
    void seedsDecideWhatIsDrawn() {
        JsonNode first = generate("--temperature", "1", "--seed", "3").get("output_ids");
        assertEquals(first, generate("--temperature", "1", "--seed", "3").get("output_ids"));
        assertNotEquals(first, generate("--temperature", "1", "--seed", "4").get("output_ids"));
        // whatever the seed, one candidate is no choice
        assertEquals(generate().get("output_ids"),
                generate("--temperature", "1", "--seed", "4", "--top-k", "1").get("output_ids"));
    }

    @Test
    void stopStringsEndTheText() {
        String text = generate().get("text").textValue();
        String stop = text.substring(text.length() / 2, text.length() / 2 + 3);
        JsonNode answer = generate("--stop", "never said", "--stop", stop);
        assertEquals(text.substring(0, text.indexOf(stop)), answer.get("text").textValue());
        assertEquals("stop", answer.get("finish_reason").textValue());
    }

    @Test
    void stopTokensEndTheText() {
        int[] ids = ints(generate().get("output_ids"));
        JsonNode answer = generate("--stop-tokens", "7," + ids[2]);
        assertArrayEquals(new int[] {ids[0], ids[1], ids[2]}, ints(answer.get("output_ids")));
        assertEquals("stop", answer.get("finish_reason").textValue());
        String said = Outcome.json("detokenize", ids[0] + "," + ids[1]).get("text").textValue();
        assertEquals(said, answer.get("text").textValue());
    }

    /** A golden model, because the end of text can be put where the model comes by. */
    @Test
    void ignoreEosGoesOn() {
        String model = Outcome.golden("v32-sharded").toString();
        String[] base = {"generate", "--model", model, "--tokens", "5,9,17", "--max-new-tokens", "6"};
        int[] ids = ints(Outcome.json(Outcome.join(base, "--ignore-eos")).get("output_ids"));
        assertEquals(6, ids.length);
        String[] moved = Outcome.join(base, "--config-override", "{\"eos_token_id\":[159," + ids[1] + "]}");
        JsonNode answer = Outcome.json(moved);
        int first = ids[0] == ids[1] ? 1 : 2;
        assertArrayEquals(Arrays.copyOf(ids, first), ints(answer.get("output_ids")));
        assertEquals("stop", answer.get("finish_reason").textValue());
        assertEquals("", answer.get("text").textValue());
        assertArrayEquals(ids, ints(Outcome.json(Outcome.join(moved, "--ignore-eos")).get("output_ids")));
        // without a tokenizer the ids are what can be shown
        assertEquals(Ids.show(ids) + System.lineSeparator(),
                Outcome.of(Outcome.join(base, "--ignore-eos")).succeeded().out());
    }

    @Test
    void theContextEndsTheText() {
        JsonNode answer = Outcome.json("generate", "--tokens", "5,9", "--context-length", "4", "--ignore-eos");
        assertEquals("length", answer.get("finish_reason").textValue());
        assertEquals(3, answer.get("usage").get("completion_tokens").intValue()); // the last needs no place
    }

    @Test
    void logitsOfAllPositions() {
        JsonNode all = Outcome.json("logits", "--tokens", "0,5,9,700", "--positions", "all", "--selections");
        assertEquals(List.of("input_ids", "positions", "logits", "greedy", "selected_tokens"), names(all));
        assertArrayEquals(new int[] {0, 5, 9, 700}, ints(all.get("input_ids")));
        assertArrayEquals(new int[] {0, 1, 2, 3}, ints(all.get("positions")));
        int[] greedy = ints(all.get("greedy"));
        assertEquals(4, all.get("logits").size());
        for (int p = 0; p < 4; p++) {
            JsonNode row = all.get("logits").get(p);
            assertEquals(4096, row.size());
            for (JsonNode logit : row) {
                assertTrue(logit.isNumber() && logit.doubleValue() <= row.get(greedy[p]).doubleValue());
            }
        }
        assertEquals(List.of("0", "1", "2", "3"), names(all.get("selected_tokens")));
        assertEquals("[[0,1,2],[0,1,2],[0,1,2],[0,1,2]]", all.get("selected_tokens").get("2").toString());

        JsonNode some = Outcome.json("logits", "--tokens", "0,5,9,700", "--positions", "3,1");
        assertEquals(List.of("input_ids", "positions", "logits", "greedy"), names(some));
        assertArrayEquals(new int[] {1, 3}, ints(some.get("positions")));
        assertEquals(all.get("logits").get(1), some.get("logits").get(0));
        assertEquals(all.get("logits").get(3), some.get("logits").get(1));

        JsonNode last = Outcome.json("logits", "--tokens", "0,5,9,700");
        assertArrayEquals(new int[] {3}, ints(last.get("positions")));
        assertEquals(all.get("logits").get(3), last.get("logits").get(0));
        assertEquals(greedy[3], Outcome.json("generate", "--tokens", "0,5,9,700", "--max-new-tokens", "1")
                .get("output_ids").get(0).intValue());
    }

    @Test
    void logitsTable() {
        String table = Outcome.of("logits", "--tokens", "0,5,9", "--selections").succeeded().out();
        assertTrue(table.startsWith("position 2:"), table);
        assertTrue(table.contains("layer 3 attended to 3: 0-2"), table);
        assertEquals(1 + 5 + 4, table.lines().count(), table);
    }

    @Test
    void tokenizeAndBack() {
        String plain = Outcome.of("tokenize", "--no-bos", TEXT).succeeded().out().strip();
        assertEquals("0," + plain, Outcome.of("tokenize", TEXT).succeeded().out().strip());
        JsonNode answer = Outcome.json("tokenize", TEXT);
        assertEquals(List.of("ids"), names(answer));
        assertEquals("0," + plain, Ids.show(ints(answer.get("ids"))));
        assertEquals(TEXT, Outcome.json("detokenize", plain).get("text").textValue());
        assertEquals(TEXT + System.lineSeparator(),
                Outcome.of("detokenize", "--skip-special-tokens", "0," + plain).succeeded().out());
        assertTrue(Outcome.json("detokenize", "0," + plain).get("text").textValue().startsWith("<"));
        // the same from stdin
        assertEquals("0," + plain, Outcome.reading(TEXT, "tokenize").succeeded().out().strip());
        assertEquals(TEXT, Outcome.reading(plain, "detokenize", "--json").json().get("text").textValue());
    }

    @Test
    void perplexity() throws IOException {
        String text = Files.readString(Outcome.root().resolve("models/tiny-v32/heldout.txt")).substring(0, 700);
        Path file = Files.writeString(folder.resolve("text.txt"), text);
        int count = Outcome.json("tokenize", text).get("ids").size();
        JsonNode answer = Outcome.json("perplexity", "--text-file", file.toString(), "--context", "64");
        assertEquals(List.of("tokens", "nll", "perplexity"), names(answer));
        assertEquals(count - Math.ceilDiv(count, 64), answer.get("tokens").intValue());
        double expected = Math.exp(answer.get("nll").doubleValue() / answer.get("tokens").intValue());
        assertEquals(expected, answer.get("perplexity").doubleValue(), 1e-9 * expected);
        assertTrue(expected > 1 && expected < 200, answer.toString()); // 4096 would be guessing
        String sentence = Outcome.of("perplexity", "--text-file", file.toString(), "--context", "64").out();
        assertTrue(sentence.startsWith("perplexity ") && sentence.contains("windows of 64"), sentence);
    }

    @Test
    void info() {
        JsonNode info = Outcome.json("info", "--index-topk", "7", "--kv-cache-dtype", "fp8_e4m3");
        assertEquals("DeepseekV32ForCausalLM", info.get("architecture").textValue());
        assertTrue(info.get("parameters").longValue() > 9_000_000 && info.get("weight_bytes").longValue() > 9_000_000);
        assertEquals(7, info.get("index_topk").intValue());
        assertEquals(4L * (656 + 132), info.get("cache_bytes_per_token_fp8_e4m3").longValue());
        assertEquals(4L * (656 + 132) * 8192, info.get("cache_bytes_at_context_length").longValue());
        List<String> table = Outcome.of("info").succeeded().out().lines().toList();
        List<String> plain = names(info).subList(0, names(info).size() - 1);
        assertEquals(plain, table.subList(0, plain.size()).stream().map(line -> line.split(" ")[0]).toList());
        assertEquals("memory of this machine, 1 x 8192 tokens:", table.get(plain.size() + 1));
        assertTrue(table.getLast().endsWith("8192 tokens a sequence, or 4 of 4 layers at 8192"), table.getLast());
        JsonNode dense = Outcome.json("info", "--model", Outcome.golden("v3-dense-attention").toString());
        assertFalse(dense.get("sparse").booleanValue());
        assertEquals("dense", dense.get("attention_backend").textValue());
    }

    @Test
    void devices() {
        JsonNode devices = Outcome.json("devices");
        assertEquals(List.of("machine", "implementations", "devices", "auto"), names(devices));
        assertEquals(List.of("prefill", "decode", "indexer", "topk", "linear"), names(devices.get("auto")));
        List<String> known = devices.get("implementations").findValuesAsText("name");
        assertTrue(known.containsAll(List.of("reference", "vector", "tornado")), known.toString());
        // built or not, TornadoVM does not run here
        JsonNode tornado = devices.get("implementations").get(known.indexOf("tornado"));
        assertTrue(tornado.get("status").textValue().contains("set TORNADOVM_HOME"), tornado.toString());
        assertTrue(devices.get("devices").isEmpty());
        devices.get("auto").forEach(name -> assertTrue(known.contains(name.textValue())));
        String table = Outcome.of("devices").succeeded().out();
        assertTrue(table.contains("auto topk") && table.matches("(?s).*\\Rtornado +.*"), table);
    }

    @Test
    void bench() {
        JsonNode answer = Outcome.json("bench", "--prefill", "3", "--decode", "2", "--depth", "0,70", "--batch", "1,2",
                "--repetitions", "2");
        assertEquals(List.of("machine", "results"), names(answer));
        assertTrue(names(answer.get("machine")).containsAll(List.of("cpu", "processors", "jdk", "model")));
        assertEquals(4, answer.get("results").size());
        JsonNode row = answer.get("results").get(3);
        assertEquals("70 2", row.get("depth") + " " + row.get("batch"));
        for (String rate : List.of("prefill_tokens_per_second", "decode_tokens_per_second", "stddev")) {
            assertTrue(row.get(rate).isDouble() && row.get(rate).doubleValue() > 0, row.toString());
        }

        String[] one = {"bench", "--prefill", "3", "--decode", "0", "--repetitions", "1", "--format"};
        List<String> csv = Outcome.of(Outcome.join(one, "csv")).succeeded().out().lines().toList();
        assertEquals("step_host_us", names(row).getLast());
        List<String> columns = names(row).subList(0, names(row).size() - 1); // without decoding there is no step
        assertEquals(String.join(",", columns), csv.get(0));
        assertTrue(csv.get(1).matches("0,1,3,0,[0-9.]+,0\\.0,0\\.0,0\\.0") && csv.size() == 2, csv.toString());
        List<String> md = Outcome.of(Outcome.join(one, "MD")).succeeded().out().lines().toList();
        assertEquals("| " + String.join(" | ", columns) + " |", md.get(0));
        assertTrue(md.get(2).startsWith("| 0 | 1 | 3 | 0 | ") && md.size() == 3, md.toString());
        assertEquals(1, Outcome.of(Outcome.join(one, "json")).json().get("results").size());
    }

    @Test
    void chatRemembersUntilItIsCleared() {
        String[] chat = {"chat", "--max-new-tokens", "4", "--ignore-eos"};
        Outcome outcome = Outcome.reading("Hello\n\nHello again\n/clear\nHello\n/exit\nunheard\n", chat).succeeded();
        List<String> said = outcome.out().lines().toList();
        assertEquals(3, said.size(), outcome.out());
        assertEquals(said.get(0), said.get(2));
        assertEquals(6, IntStream.range(0, outcome.err().length()).filter(i -> outcome.err().charAt(i) == '>').count());
        String first = Outcome.json("generate", "--prompt", "<\uff5cUser\uff5c>Hello<\uff5cAssistant\uff5c></think>",
                "--max-new-tokens", "4", "--ignore-eos").get("text").textValue();
        assertEquals(first.strip(), said.get(0).strip());
        // the end of input ends it too, and a conversation may outgrow its context
        String[] small = Outcome.join(chat, "--context-length", "8", "--system", PROMPT);
        Outcome full = Outcome.reading("Hello\n", small).succeeded();
        assertEquals("", full.out());
        assertTrue(full.err().contains("fills the context of 8"), full.err());
    }
}
