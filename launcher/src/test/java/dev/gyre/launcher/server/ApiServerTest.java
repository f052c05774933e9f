package dev.gyre.launcher.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.launcher.server.TestServer.Reply;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.engine.EngineOptions;
import dev.gyre.model.generate.GenerationOptions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** All endpoints but the chat, with the embedded model. */
class ApiServerTest {
    private static final String PROMPT = "Fellow-Citizens of the Senate";
    private static TestServer server;
    /** The greedy continuation by 12 tokens. */
    private static String continuation;

    @BeforeAll
    static void start() {
        server = new TestServer(EngineOptions.defaults().withModel(ModelOptions.defaults().withContextLength(1024)));
        continuation = server.engine.generate(PROMPT, GenerationOptions.greedy(12)).text();
    }

    @AfterAll
    static void stop() throws InterruptedException {
        server.assertNothingHeld();
        server.close();
    }

    private static JsonNode complete(String fields) {
        return server.post("/v1/completions", "{\"temperature\":0,\"max_tokens\":12," + fields + "}").ok();
    }

    @Test
    void completions() {
        JsonNode answer = complete("\"prompt\":\"" + PROMPT + "\",\"model\":\"" + TestServer.NAME + "\"");
        assertEquals(continuation, answer.get("choices").get(0).get("text").textValue());
        assertEquals("length", answer.get("choices").get(0).get("finish_reason").textValue());
        assertEquals("text_completion", answer.get("object").textValue());
        assertEquals(TestServer.NAME, answer.get("model").textValue());
        assertEquals(11, answer.get("usage").get("prompt_tokens").intValue());
        assertEquals(10, answer.get("usage").get("prompt_tokens_details").get("cached_tokens").intValue());
    }

    @Test
    void completionsInAStream() {
        List<JsonNode> events = server.events("/v1/completions", "{\"temperature\":0,\"max_tokens\":12,\"prompt\":\""
                + PROMPT + "\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"n\":2,\"echo\":true}");
        String[] texts = {"", ""};
        int ends = 0;
        for (JsonNode event : events.subList(0, events.size() - 1)) {
            JsonNode choice = event.get("choices").get(0);
            texts[choice.get("index").intValue()] += choice.get("text").textValue();
            ends += choice.get("finish_reason").isNull() ? 0 : 1;
        }
        assertEquals(PROMPT + continuation, texts[0]);
        assertEquals(PROMPT + continuation, texts[1]);
        assertEquals(2, ends);
        assertEquals(24, events.getLast().get("usage").get("completion_tokens").intValue());
        assertEquals(11, events.getLast().get("usage").get("prompt_tokens").intValue());
    }

    /** Texts and ids, several at a time, with several answers each. */
    @Test
    void severalPrompts() {
        JsonNode answer = complete("\"prompt\":[\"" + PROMPT + "\",\"Call me\"],\"n\":2");
        JsonNode choices = answer.get("choices");
        assertEquals(4, choices.size());
        assertEquals(choices.get(0).get("text"), choices.get(1).get("text"));
        assertEquals(continuation, choices.get(0).get("text").textValue());
        assertNotEquals(choices.get(0).get("text"), choices.get(2).get("text"));
        JsonNode ids = server.post("/tokenize", "{\"prompt\":\"" + PROMPT + "\"}").ok().get("tokens");
        assertEquals(choices.get(0).get("text"), complete("\"prompt\":" + ids).get("choices").get(0).get("text"));
        JsonNode both = complete("\"prompt\":[" + ids + "," + ids + "],\"return_token_ids\":true").get("choices");
        assertEquals(continuation, both.get(1).get("text").textValue());
        assertEquals(ids, both.get(1).get("prompt_token_ids"));
        assertEquals(12, both.get(1).get("token_ids").size());
    }

    @Test
    void logprobsOfCompletions() {
        JsonNode logprobs = complete("\"prompt\":\"" + PROMPT + "\",\"logprobs\":3").get("choices").get(0).get("logprobs");
        assertEquals(12, logprobs.get("tokens").size());
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 12; i++) {
            assertEquals(text.length(), logprobs.get("text_offset").get(i).intValue());
            String token = logprobs.get("tokens").get(i).textValue();
            text.append(token);
            assertEquals(3, logprobs.get("top_logprobs").get(i).size());
            assertEquals(logprobs.get("token_logprobs").get(i), logprobs.get("top_logprobs").get(i).get(token));
        }
        assertEquals(continuation, text.toString());
    }

    @Test
    void seedsAndBiases() {
        String drawn = "\"temperature\":1,\"prompt\":\"" + PROMPT + "\",\"seed\":";
        JsonNode first = server.post("/v1/completions", "{" + drawn + "7}").ok().get("choices");
        assertEquals(first, server.post("/v1/completions", "{" + drawn + "7}").ok().get("choices"));
        assertNotEquals(first, server.post("/v1/completions", "{" + drawn + "8}").ok().get("choices"));
        JsonNode biased = complete("\"prompt\":\"x\",\"logit_bias\":{\"500\":100},\"return_token_ids\":true,\"max_tokens\":3");
        assertEquals("[500,500,500]", biased.get("choices").get(0).get("token_ids").toString());
    }

    @Test
    void sglangsOwnForm() {
        JsonNode answer = server.post("/generate", "{\"text\":\"" + PROMPT
                + "\",\"sampling_params\":{\"temperature\":0,\"max_new_tokens\":12},\"rid\":\"mine\"}").ok();
        assertEquals(continuation, answer.get("text").textValue());
        assertEquals(12, answer.get("output_ids").size());
        JsonNode meta = answer.get("meta_info");
        assertEquals("mine", meta.get("id").textValue());
        assertEquals("{\"type\":\"length\",\"length\":12}", meta.get("finish_reason").toString());
        assertEquals(11, meta.get("prompt_tokens").intValue());
        assertEquals(12, meta.get("completion_tokens").intValue());
        assertTrue(meta.get("e2e_latency").doubleValue() > 0);
        JsonNode list = server.post("/generate", "{\"text\":[\"" + PROMPT + "\",\"Call me\"],\"return_logprob\":true,"
                + "\"top_logprobs_num\":2,\"sampling_params\":[{\"temperature\":0,\"max_new_tokens\":12},"
                + "{\"temperature\":0,\"max_new_tokens\":2}]}").ok();
        assertEquals(continuation, list.get(0).get("text").textValue());
        assertEquals(2, list.get(1).get("output_ids").size());
        JsonNode logprobs = list.get(1).get("meta_info").get("output_token_logprobs");
        assertEquals(list.get(1).get("output_ids").get(0), logprobs.get(0).get(1));
        assertEquals(logprobs.get(0), list.get(1).get("meta_info").get("output_top_logprobs").get(0).get(0));
    }

    /** Every event has all the text so far, as SGLang's have. */
    @Test
    void sglangsOwnFormInAStream() {
        List<JsonNode> events = server.events("/generate", "{\"input_ids\":[0,5,9],\"stream\":true,"
                + "\"sampling_params\":{\"temperature\":0,\"max_new_tokens\":9,\"ignore_eos\":true}}");
        assertEquals(10, events.size());
        String text = "";
        for (JsonNode event : events) {
            assertTrue(event.get("text").textValue().startsWith(text));
            text = event.get("text").textValue();
        }
        assertEquals(9, events.getLast().get("output_ids").size());
        assertTrue(events.get(8).get("meta_info").get("finish_reason").isNull());
        assertEquals("length", events.getLast().get("meta_info").get("finish_reason").get("type").textValue());
    }

    @Test
    void aborting() throws Exception {
        Thread thread = Thread.ofVirtual().start(() -> {
            JsonNode answer = server.post("/generate", "{\"text\":\"x\",\"rid\":\"long\","
                    + "\"sampling_params\":{\"max_new_tokens\":900,\"ignore_eos\":true}}").ok();
            assertEquals("abort", answer.get("meta_info").get("finish_reason").get("type").textValue());
            assertTrue(answer.get("output_ids").size() < 900);
        });
        Throwable[] failure = new Throwable[1];
        thread.setUncaughtExceptionHandler((t, e) -> failure[0] = e);
        server.awaitRunning();
        Reply twice = server.post("/generate", "{\"text\":\"x\",\"rid\":\"long\"}");
        assertEquals(400, twice.status());
        assertEquals(200, server.post("/abort_request", "{\"rid\":\"other\"}").status());
        assertEquals(200, server.post("/abort_request", "{\"rid\":\"long\"}").status());
        thread.join();
        assertNull(failure[0]);
    }

    @Test
    void models() {
        JsonNode list = server.get("/v1/models").ok();
        assertEquals("list", list.get("object").textValue());
        assertEquals(TestServer.NAME, list.get("data").get(0).get("id").textValue());
        assertEquals(1024, list.get("data").get(0).get("max_model_len").intValue());
        assertEquals("model", server.get("/v1/models/" + TestServer.NAME).ok().get("object").textValue());
        assertEquals("model_not_found", server.get("/v1/models/gpt").json().get("error").get("code").textValue());
    }

    @ParameterizedTest
    @ValueSource(strings = {"/tokenize", "/v1/tokenize"})
    void tokenizing(String path) {
        JsonNode one = server.post(path, "{\"prompt\":\"" + PROMPT + "\"}").ok();
        assertEquals(11, one.get("count").intValue());
        assertEquals(0, one.get("tokens").get(0).intValue());
        JsonNode plain = server.post(path, "{\"prompt\":[\"" + PROMPT + "\",\"\"],\"add_special_tokens\":false}").ok();
        assertEquals("[10,0]", plain.get("count").toString());
        String back = path.replace("tokenize", "detokenize");
        assertEquals(PROMPT, server.post(back, "{\"tokens\":" + one.get("tokens") + "}").ok().get("text").textValue());
        JsonNode all = server.post(back, "{\"tokens\":[" + one.get("tokens") + ",[]],\"skip_special_tokens\":false}").ok();
        assertEquals("<｜begin▁of▁sentence｜>" + PROMPT, all.get("text").get(0).textValue());
        assertEquals("", all.get("text").get(1).textValue());
    }

    @Test
    void whatTheServerSaysOfItself() {
        assertEquals(200, server.get("/health").status());
        assertEquals(200, server.get("/health_generate").status());
        JsonNode model = server.get("/get_model_info").ok();
        assertTrue(model.get("is_generation").booleanValue());
        assertEquals(4096, model.get("vocabulary_size").intValue());
        assertEquals(model, server.get("/model_info").ok());
        JsonNode info = server.get("/get_server_info").ok();
        assertEquals("test", info.get("version").textValue());
        assertEquals(4096, info.get("max_total_num_tokens").intValue());
        assertTrue(info.get("internal_states").get(0).has("last_gen_throughput"));
        assertTrue(server.get("/server_info").ok().has("implementations"));
    }

    @Test
    void theCacheIsFlushed() {
        complete("\"prompt\":\"" + PROMPT + PROMPT + PROMPT + "\"");
        assertTrue(server.engine.stats().tokensKept() > 0);
        assertEquals(200, server.post("/flush_cache", "{}").status());
        assertEquals(0, server.engine.stats().tokensKept());
    }

    @Test
    void metrics() {
        complete("\"prompt\":\"" + PROMPT + "\"");
        Reply reply = server.get("/metrics");
        assertTrue(reply.header("Content-Type").startsWith("text/plain"));
        String label = "{model_name=\"" + TestServer.NAME + "\"} ";
        for (String name : List.of("prompt_tokens_total", "generation_tokens_total", "cached_tokens_total",
                "time_to_first_token_seconds_count", "time_per_output_token_seconds_sum",
                "e2e_request_latency_seconds_count", "num_running_reqs", "num_queue_reqs", "token_usage",
                "cache_hit_rate", "num_requests_total", "num_aborted_requests_total")) {
            assertTrue(reply.body().contains("\ngyre_" + name + label), name + " in\n" + reply.body());
        }
        assertTrue(reply.body().contains("gyre_time_to_first_token_seconds_bucket{model_name=\"" + TestServer.NAME
                + "\",le=\"0.1\"}"), reply.body());
    }

    @Test
    void selections() {
        JsonNode answer = server.post("/inspect", "{\"input_ids\":[0,5,9,11]}").ok();
        assertEquals("[[0,1,2,3],[0,1,2,3],[0,1,2,3],[0,1,2,3]]", answer.get("layers").toString());
        assertEquals(4, answer.get("tokens").size());
        assertEquals(256, answer.get("index_topk").intValue());
        assertTrue(answer.get("all_visible").booleanValue());
    }

    @Test
    void thePageIsOurs() {
        Reply page = server.get("/");
        assertTrue(page.body().contains("<title>"), page.body());
        assertTrue(page.header("Content-Security-Policy").startsWith("default-src 'self'"));
        for (String path : List.of("/page.css", "/page.js")) {
            assertEquals(200, server.get(path).status());
            assertTrue(page.body().contains(path.substring(1)));
        }
        assertFalse(page.body().contains("http://") || page.body().contains("https://"));
        assertNull(page.header("Access-Control-Allow-Origin"));
    }

    @Test
    void headersOnly() {
        HttpRequest head = server.request("/v1/models").method("HEAD", HttpRequest.BodyPublishers.noBody()).build();
        Reply reply = server.send(head);
        assertEquals(200, reply.status());
        assertEquals("", reply.body());
    }

    /** Texts that were generated and are not yet read when the server is told to end. */
    @Test
    void slowReadersHaveTheirTime() throws Exception {
        EngineOptions options = EngineOptions.defaults().withModel(ModelOptions.defaults().withContextLength(1024));
        String body = "{\"text\":\"x\",\"stream\":true,\"return_logprob\":true,\"top_logprobs_num\":20,"
                + "\"sampling_params\":{\"max_new_tokens\":120,\"ignore_eos\":true}}";
        try (TestServer slow = new TestServer(options); Socket socket = new Socket()) {
            URI address = URI.create(slow.server.address());
            socket.setReceiveBufferSize(4096);
            socket.connect(new InetSocketAddress(address.getHost(), address.getPort()));
            socket.getOutputStream().write(("POST /generate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                    + "Content-Type: application/json\r\nContent-Length: " + body.length() + "\r\n\r\n" + body)
                    .getBytes(StandardCharsets.US_ASCII));
            slow.awaitRunning();
            assertTrue(slow.engine.drain(Duration.ofSeconds(60)));
            assertFalse(slow.server.drain(Duration.ofMillis(50)), "nothing was left to send: the test shows nothing");
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertTrue(answer.contains("data: [DONE]"), "cut after " + answer.length() + " characters");
            assertTrue(slow.server.drain(Duration.ofSeconds(10)));
        }
    }

    /** No stream, and nothing is sent for long: a client who hung up is noticed all the same. */
    @Test
    void whoHangsUpFreesHisPlace() throws Exception {
        try (TestServer patient = new TestServer(TestServer.slow())) {
            URI address = URI.create(patient.server.address());
            String body = "{\"prompt\":\"x\",\"max_tokens\":8000,\"ignore_eos\":true}";
            try (Socket socket = new Socket(address.getHost(), address.getPort())) {
                socket.getOutputStream().write(("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        + "Content-Length: " + body.length() + "\r\n\r\n" + body).getBytes(StandardCharsets.US_ASCII));
                patient.awaitRunning();
            }
            long start = System.nanoTime();
            patient.assertNothingHeld();
            assertTrue(patient.get("/metrics").body().contains("gyre_num_aborted_requests_total{model_name=\"test-model\"} 1.0"),
                    "it was computed to its end, in " + (System.nanoTime() - start) * 1e-9 + " s");
        }
    }

    /** Ids in and ids out; whatever needs text is refused before anything is computed. */
    @Test
    void aModelWithoutTokenizer() {
        Path golden = Path.of("../model/src/test/resources/golden/v3-dense-attention");
        try (TestServer bare = new TestServer(EngineOptions.defaults().withModel(ModelOptions.defaults().withModel(golden)))) {
            JsonNode answer = bare.post("/generate",
                    "{\"input_ids\":[5,6],\"sampling_params\":{\"max_new_tokens\":3,\"temperature\":0},\"return_logprob\":true}").ok();
            assertEquals(3, answer.get("output_ids").size());
            assertEquals(answer.get("output_ids"), bare.post("/v1/completions",
                            "{\"prompt\":[5,6],\"max_tokens\":3,\"temperature\":0,\"return_token_ids\":true}")
                    .ok().get("choices").get(0).get("token_ids"));
            for (String[] refused : new String[][] {
                {"/v1/completions", "{\"prompt\":\"x\"}"},
                {"/v1/completions", "{\"prompt\":[5],\"echo\":true}"},
                {"/v1/completions", "{\"prompt\":[5],\"logprobs\":1}"},
                {"/v1/completions", "{\"prompt\":[5],\"stop\":\"x\"}"},
                {"/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"},
                {"/generate", "{\"text\":\"x\"}"},
                {"/tokenize", "{\"prompt\":\"x\"}"},
                {"/detokenize", "{\"tokens\":[5]}"},
                {"/inspect", "{\"input_ids\":[5]}"}, // dense
            }) {
                Reply reply = bare.post(refused[0], refused[1]);
                assertEquals(400, reply.status(), reply.body());
                assertFalse(reply.body().contains("--"), reply.body());
            }
            assertEquals(200, bare.get("/health_generate").status());
        }
    }

    @Test
    void aFullQueueSaysWhenToComeBack() throws Exception {
        EngineOptions small = EngineOptions.defaults()
                .withModel(ModelOptions.defaults().withContextLength(1024))
                .withMaxRunning(1)
                .withMaxQueued(1);
        try (TestServer busy = new TestServer(small)) {
            Reply never = busy.post("/v1/completions", "{\"prompt\":[\"a\",\"b\"],\"max_tokens\":900,\"ignore_eos\":true}");
            assertEquals(400, never.status(), never.body()); // two at once, where one can wait
            String body = "{\"prompt\":\"a\",\"max_tokens\":900,\"ignore_eos\":true}";
            List<Reply> replies = new ArrayList<>();
            try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
                List<Callable<Reply>> calls = Collections.nCopies(6, () -> busy.post("/v1/completions", body));
                for (Future<Reply> reply : threads.invokeAll(calls)) {
                    replies.add(reply.get());
                }
            }
            Reply refused = replies.stream().filter(reply -> reply.status() != 200).findAny().orElseThrow();
            assertEquals(429, refused.status(), refused.body());
            assertTrue(Integer.parseInt(refused.header("Retry-After")) >= 1);
            assertEquals("rate_limit_error", refused.json().get("error").get("type").textValue());
            busy.assertNothingHeld();
        }
    }
}
