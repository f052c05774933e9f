package dev.gyre.launcher.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.launcher.server.TestServer.Reply;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.engine.EngineOptions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.net.SocketException;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** What is wrong gets a 4xx with one sentence in OpenAI's shape, and the server lives on. */
class BadRequestsTest {
    private static final String MESSAGES = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";
    private static TestServer server;

    @BeforeAll
    static void start() {
        server = new TestServer(EngineOptions.defaults().withModel(ModelOptions.defaults().withContextLength(512)));
    }

    @AfterAll
    static void stop() {
        server.close();
    }

    @AfterEach
    void theServerLivesOn() throws InterruptedException {
        server.assertNothingHeld();
        assertEquals(200, server.get("/health_generate").status());
    }

    private static String refused(Reply reply, int status) {
        assertEquals(status, reply.status(), reply.body());
        JsonNode error = reply.json().get("error");
        assertTrue(error.has("type") && error.has("param") && error.has("code"), reply.body());
        String message = error.get("message").textValue();
        assertTrue(message.endsWith(".") && message.length() < 700 && message.lines().count() == 1, message);
        assertFalse(message.contains("Exception") || message.contains("dev.gyre") || message.contains("--"), message);
        return message;
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "max_tokens | -1 | max_tokens must be a whole number from 1",
        "max_tokens | 0 | max_tokens must be a whole number from 1",
        "max_tokens | 1e400 | max_tokens must be a whole number",
        "max_tokens | 99999999999999999999 | max_tokens must be a whole number",
        "max_tokens | 5000 | there is room for",
        "max_tokens | \"7\" | max_tokens must be a whole number",
        "max_tokens | [] | max_tokens must be a whole number from 1 to 2147483647, not an array",
        "temperature | -0.1 | temperature must be a number from 0",
        "temperature | 1e10 | temperature must be a number from 0",
        "temperature | true | temperature must be a number",
        "top_p | 0 | top_p must be a number from",
        "top_p | 1.1 | top_p must be a number from",
        "top_k | -2 | top_k must be a whole number from -1",
        "min_p | 2 | min_p must be a number from 0",
        "repetition_penalty | 1e-39 | repetition_penalty must be a number from 0.01",
        "repetition_penalty | 0 | repetition_penalty must be a number from",
        "presence_penalty | 2.1 | presence_penalty must be a number from -2",
        "frequency_penalty | {} | frequency_penalty must be a number",
        "seed | 1.5 | seed must be a whole number",
        "n | 0 | n must be a whole number from 1",
        "n | 1000000 | n must be a whole number from 1",
        "stop | 5 | stop must be a string or an array",
        "stop | [\"a\",null] | stop must be a string or an array",
        "stop | \"\" | stop must be strings of 1 to 1000 characters",
        "stop_token_ids | [4096] | stop_token_ids[0] must be a token id from 0 to 4095, not 4096",
        "stop_token_ids | 3 | stop_token_ids must be an array of token ids",
        "logit_bias | {\"5\":101} | logit_bias.5 must be a number from -100",
        "logit_bias | {\"x\":1} | logit_bias must name token ids",
        "logit_bias | {\"-1\":1} | logit_bias must name token ids",
        "logit_bias | 1 | logit_bias must be an object",
        "stream | \"yes\" | stream must be true or false",
        "ignore_eos | 1 | ignore_eos must be true or false",
        "model | 3 | model must be a string",
        "rid | {} | rid must be a string",
        "min_tokens | 3 | min_tokens is not supported",
    })
    void fieldsOfBoth(String field, String value, String sentence) {
        String with = "\"" + field + "\":" + value;
        for (String message : List.of(
                refused(server.post("/v1/completions", "{\"prompt\":\"x\"," + with + "}"), 400),
                refused(server.post("/v1/chat/completions", "{" + MESSAGES + "," + with + "}"), 400))) {
            assertTrue(message.startsWith(sentence) || message.contains(sentence), message);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "{} | prompt is missing",
        "{\"prompt\":null} | prompt is missing",
        "{\"prompt\":5} | prompt must be an array of token ids",
        "{\"prompt\":[]} | prompt is empty",
        "{\"prompt\":[[]]} | prompt[0] is empty",
        "{\"prompt\":[1,\"a\"]} | prompt[1] must be a token id from 0 to 4095",
        "{\"prompt\":[-1]} | prompt[0] must be a token id",
        "{\"prompt\":[5000]} | prompt[0] must be a token id",
        "{\"prompt\":[\"a\",7]} | prompt[1] must be an array",
        "{\"prompt\":\"x\",\"best_of\":3} | best_of is not supported",
        "{\"prompt\":\"x\",\"suffix\":\"y\"} | suffix is not supported",
        "{\"prompt\":\"x\",\"logprobs\":21} | logprobs must be a whole number from 0 to 20",
        "{\"prompt\":\"x\",\"echo\":true,\"logprobs\":1} | echo with logprobs is not supported",
        "{\"prompt\":[\"a\",\"b\"],\"n\":100} | prompts times n are 200",
    })
    void completions(String body, String sentence) {
        assertTrue(refused(server.post("/v1/completions", body), 400).startsWith(sentence));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "{} | messages is missing or empty",
        "{\"messages\":[]} | messages is missing or empty",
        "{\"messages\":\"hi\"} | messages must be an array of objects",
        "{\"messages\":[\"hi\"]} | messages[0] must be an object",
        "{\"messages\":[{\"content\":\"x\"}]} | messages[0].role is missing",
        "{\"messages\":[{\"role\":\"wizard\",\"content\":\"x\"}]} | messages[0]",
        "{\"messages\":[{\"role\":\"user\",\"content\":7}]} | messages[0].content must be a string",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]} | messages[0].content[0].type must be",
        "{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]} | messages[0]",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]} | the last message must be",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":7} | tools must be an array",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{\"type\":\"web\"}]} | tools[0].type must be",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{}]} | tools[0].function.name is missing",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tool_choice\":\"required\"} | tool_choice must be",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"top_logprobs\":2} | top_logprobs needs logprobs",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"logprobs\":true,\"top_logprobs\":21} | top_logprobs must be",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{\"type\":\"json_object\"}} | response_format",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"functions\":[{}]} | functions is not supported",
    })
    void chats(String body, String sentence) {
        String message = refused(server.post("/v1/chat/completions", body), 400);
        assertTrue(message.startsWith(sentence), message);
    }

    /** Arguments that are not an object, and a call that was never made. */
    @Test
    void callsInMessages() {
        String call = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"tool_calls\":[{\"function\":"
                + "{\"name\":\"f\",\"arguments\":%s}}]},{\"role\":\"tool\",\"content\":\"1\"}%s]}";
        for (String arguments : List.of("\"[1]\"", "\"{\"", "\"nonsense\"", "5", "\"" + "[".repeat(5000) + "\"")) {
            refused(server.post("/v1/chat/completions", call.formatted(arguments, "")), 400);
        }
        refused(server.post("/v1/chat/completions", call.formatted("\"{}\"", ",{\"role\":\"tool\",\"content\":\"2\"}")), 400);
    }

    /** A result that belongs to no call, or to one that has its result, or none where there should be one. */
    @Test
    void resultsOfCalls() {
        String calls = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"tool_calls\":["
                + "{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
                + "{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}%s],\"max_tokens\":1}";
        String result = ",{\"role\":\"tool\",\"tool_call_id\":\"%s\",\"content\":\"1\"}";
        for (String results : List.of("aa", "c", "bc", "a", "aba")) {
            StringBuilder given = new StringBuilder();
            results.chars().forEach(id -> given.append(result.formatted(Character.toString(id))));
            refused(server.post("/v1/chat/completions", calls.formatted(given)), 400);
        }
        server.post("/v1/chat/completions", calls.formatted(result.formatted("b") + result.formatted("a"))).ok();
    }

    /** Few bytes that ask for very much. */
    @Test
    void tooMuchAtOnce() {
        String many = "[0],".repeat(200_000);
        assertTrue(refused(server.post("/generate", "{\"input_ids\":[" + many + "[0]],\"sampling_params\":{\"n\":128}}"), 400)
                .startsWith("input_ids must be ids, or at most 128 arrays"));
        refused(server.post("/generate", "{\"input_ids\":[[1],[2]],\"sampling_params\":{\"n\":128}}"), 400);
        refused(server.post("/v1/completions", "{\"prompt\":[" + many + "[0]]}"), 400);
    }

    /** What asks for nothing is not refused, although it names what is not supported. */
    @Test
    void nothingOfWhatIsNotSupported() {
        server.post("/generate", "{\"text\":\"x\",\"lora_path\":\"\",\"image_data\":[],\"return_hidden_states\":false,"
                + "\"sampling_params\":{\"max_new_tokens\":1,\"min_new_tokens\":0}}").ok();
        server.post("/v1/completions", "{\"prompt\":\"x\",\"max_tokens\":1,\"suffix\":\"\",\"best_of\":1}").ok();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "/generate | {} | give either text or input_ids",
        "/generate | {\"text\":\"x\",\"input_ids\":[1]} | give either text or input_ids",
        "/generate | {\"input_ids\":[]} | the prompt is empty",
        "/generate | {\"input_ids\":[[1],2]} | input_ids[1] must be an array",
        "/generate | {\"text\":5} | text must be a string or an array",
        "/generate | {\"text\":\"x\",\"sampling_params\":[{}]} | sampling_params must be an object",
        "/generate | {\"text\":\"x\",\"sampling_params\":{\"regex\":\"a\"}} | sampling_params.regex is not supported",
        "/generate | {\"text\":\"x\",\"sampling_params\":{\"max_new_tokens\":-5}} | sampling_params.max_new_tokens must be",
        "/generate | {\"text\":\"x\",\"logprob_start_len\":0} | logprob_start_len is not supported",
        "/generate | {\"text\":\"x\",\"image_data\":\"http://x\"} | image_data is not supported",
        "/tokenize | {} | prompt is missing",
        "/tokenize | {\"prompt\":7} | prompt must be a string",
        "/detokenize | {} | tokens must be an array",
        "/detokenize | {\"tokens\":[9999]} | tokens[0] must be a token id",
        "/inspect | {} | input_ids is missing or empty",
        "/abort_request | {} | give a rid",
    })
    void others(String path, String body, String sentence) {
        String message = refused(server.post(path, body), 400);
        assertTrue(message.startsWith(sentence), message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "{", "nonsense", "[]", "5", "null", "{\"prompt\":\"x\"} trailing", "{\"prompt\":'x'}",
        "{\"prompt\":\"x\",}", "\u0000", "{\"prompt\":\"\\ud800", "{\"prompt\":NaN}"})
    void notJson(String body) {
        assertTrue(refused(server.post("/v1/completions", body), 400).startsWith("the body"));
    }

    @Test
    void deepAndBroken() {
        assertTrue(refused(server.post("/v1/completions", "{\"prompt\":" + "[".repeat(100_000)), 400).contains("depth"));
        byte[] broken = {'{', '"', 'p', 'r', 'o', 'm', 'p', 't', '"', ':', '"', (byte) 0xC3, (byte) 0x28, '"', '}'};
        Reply reply = server.send(server.request("/v1/completions")
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofByteArray(broken))
                .build());
        refused(reply, 400);
    }

    @Test
    void tooLong() {
        String message = refused(server.post("/v1/completions", "{\"prompt\":\"" + "word ".repeat(2000) + "\"}"), 400);
        assertTrue(message.startsWith("the prompt has ") && message.contains("has 512; shorten it"), message);
        Reply reply = server.post("/v1/chat/completions",
                "{\"messages\":[{\"role\":\"user\",\"content\":\"" + "word ".repeat(2000) + "\"}]}");
        assertEquals("context_length_exceeded", reply.json().get("error").get("code").textValue());
        refused(server.post("/inspect", "{\"input_ids\":[" + "1,".repeat(600) + "1]}"), 400);
    }

    /** 10 MB, which are more than a request may have; once with its length told, once in chunks. */
    @Test
    void tooLarge() {
        byte[] body = ("{\"prompt\":\"" + "x".repeat(10 << 20) + "\"}").getBytes(StandardCharsets.US_ASCII);
        HttpRequest.Builder request = server.request("/v1/completions").header("Content-Type", "application/json");
        for (HttpRequest.BodyPublisher publisher : List.of(
                BodyPublishers.ofByteArray(body),
                BodyPublishers.fromPublisher(BodyPublishers.ofByteArray(body)))) {
            refused(server.send(request.copy().POST(publisher).build()), 413);
        }
    }

    @Test
    void wrongPlacesAndMethods() {
        refused(server.get("/v1/nothing"), 404);
        refused(server.get("/../etc/passwd"), 404);
        refused(server.post("/v1/models", "{}"), 405);
        assertEquals("POST", server.get("/v1/completions").header("Allow"));
        refused(server.send(server.request("/v1/completions").POST(BodyPublishers.ofString("{\"prompt\":\"x\"}")).build()), 415);
        Reply unknown = server.post("/v1/completions", "{\"model\":\"gpt-9\",\"prompt\":\"x\"}");
        refused(unknown, 404);
        assertEquals("model_not_found", unknown.json().get("error").get("code").textValue());
    }

    /** Whole requests that were hit somewhere: never a 5xx, and never anything but JSON. */
    @Test
    void fuzzed() {
        List<String[]> seeds = List.of(
                new String[] {"/v1/completions", "{\"prompt\":[\"ab\",\"c\"],\"max_tokens\":3,\"temperature\":0.5,\"top_p\":0.9,"
                        + "\"n\":2,\"stop\":[\"x\"],\"seed\":1,\"logprobs\":2,\"logit_bias\":{\"5\":-10},\"echo\":false}"},
                new String[] {"/v1/chat/completions", "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
                        + "\"content\":[{\"type\":\"text\",\"text\":\"u\"}]},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":"
                        + "[{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}]},{\"role\":\"tool\","
                        + "\"content\":\"r\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}],"
                        + "\"max_tokens\":3,\"logprobs\":true,\"top_logprobs\":1,\"chat_template_kwargs\":{\"thinking\":true}}"},
                new String[] {"/generate", "{\"input_ids\":[1,2,3],\"sampling_params\":{\"max_new_tokens\":2,\"temperature\":0,"
                        + "\"stop\":\"q\",\"stop_token_ids\":[9]},\"return_logprob\":true,\"top_logprobs_num\":1,\"rid\":\"r\"}"},
                new String[] {"/inspect", "{\"input_ids\":[0,5,9]}"},
                new String[] {"/detokenize", "{\"tokens\":[[1,2],[3]],\"skip_special_tokens\":true}"});
        String[] pieces = {"null", "-1", "1e999", "[]", "{}", "\"\"", "true", "\"\\u0000\"", "9223372036854775808", "0.1", "[[[", "\\",
            "\"", ":", ",", "]", "}", "\ud83d\ude00", "\"stream\":true,", "\"rid\":\"z\","};
        Random random = new Random(17);
        int[] counts = new int[600];
        for (int i = 0; i < 1500; i++) {
            String[] seed = seeds.get(random.nextInt(seeds.size()));
            StringBuilder body = new StringBuilder(seed[1]);
            for (int hits = 1 + random.nextInt(3); hits > 0; hits--) {
                int at = random.nextInt(body.length());
                int to = Math.min(body.length(), at + random.nextInt(6));
                body.replace(at, to, random.nextBoolean() ? pieces[random.nextInt(pieces.length)] : "");
            }
            Reply reply = server.post(seed[0], body.toString());
            counts[reply.status()]++;
            assertTrue(reply.status() == 200 || reply.status() >= 400 && reply.status() < 500, body + "\n" + reply.body());
            if (reply.status() != 200) {
                refused(reply, reply.status());
            } else if (!reply.body().startsWith("data: ")) {
                reply.json();
            }
        }
        assertTrue(counts[200] > 50 && counts[400] > 500, counts[200] + " good, " + counts[400] + " bad");
    }

    /** Bytes that are no HTTP: an answer or a closed connection, in the end. */
    @Test
    void notHttp() throws IOException {
        URI address = URI.create(server.server.address());
        List<byte[]> requests = new ArrayList<>();
        requests.add("GET\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
        requests.add("POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
        requests.add("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
        requests.add("POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".getBytes(StandardCharsets.US_ASCII));
        byte[] noise = new byte[500];
        new Random(3).nextBytes(noise);
        requests.add(noise);
        for (byte[] request : requests) {
            try (Socket socket = new Socket(address.getHost(), address.getPort())) {
                socket.setSoTimeout(10_000);
                socket.getOutputStream().write(request);
                socket.shutdownOutput();
                InputStream in = socket.getInputStream();
                String answer = new String(in.readAllBytes(), StandardCharsets.ISO_8859_1);
                assertTrue(answer.isEmpty() || answer.startsWith("HTTP/1.1 4"), answer);
            } catch (SocketException e) {
                assertTrue(e.getMessage().contains("reset") || e.getMessage().contains("Broken pipe"), e.getMessage());
            }
        }
    }
}
