package dev.gyre.launcher.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.engine.EngineOptions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;

/**
 * OpenAI's own client for JavaScript against the server. {@code openai-client/client.mjs} uses it and reports what it
 * saw, once; every test here judges a part of it. Needs Node 20, npm, and npm's registry or a copy of the client
 * in npm's cache.
 */
class OpenAiClientTest {
    private static final String WHOLE = String.join("", ScriptedModel.CALLS);
    private static final String BEFORE_CALLS = "I will look it up.";
    /** BOS, User, the 8 bytes of the question, Assistant, the end of no thoughts. */
    private static final int PROMPT = 12;
    private static final String KEY = "a-key";
    private static final Pattern UNREACHABLE = Pattern.compile(
            "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET_TIMEOUT|E(NET|HOST)UNREACH|E5\\d\\d");

    @TempDir
    private static Path folder;

    private static TestServer scripted;
    private static TestServer locked;
    private static JsonNode report;
    /** What the client cannot be tried without; null where all is there. */
    private static String missing;

    @BeforeAll
    static void useTheClient() throws IOException {
        String node = Programs.find("node").map(Path::toString).orElse(null);
        String npm = Programs.find("npm").map(Path::toString).orElse(null);
        if (node == null || npm == null) {
            missing = "node and npm are not both on the PATH: OpenAI's client is not tried";
            return;
        }
        String version = Programs.run(folder, node, "--version").out().strip();
        if (Integer.parseInt(version.replaceAll("^v|\\..*", "")) < 20) {
            missing = "OpenAI's client needs Node 20 or later, not " + version;
            return;
        }
        for (String name : List.of("package.json", "package-lock.json", "client.mjs")) {
            try (InputStream in = OpenAiClientTest.class.getResourceAsStream("openai-client/" + name)) {
                Files.copy(in, folder.resolve(name));
            }
        }
        Programs.Outcome install = Programs.run(folder, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund",
                "--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000");
        if (install.code() != 0 && UNREACHABLE.matcher(install.err()).find()) {
            missing = "npm's registry cannot be reached: OpenAI's client is not tried. " + install.err();
            return;
        }
        assertEquals(0, install.code(), () -> "npm ci failed: " + install.out() + install.err());

        scripted = new TestServer(EngineOptions.defaults().withModel(
                ModelOptions.defaults().withModel(ScriptedModel.write(folder.resolve("model"), ScriptedModel.CALLS))));
        ServerOptions open = ServerOptions.local(TestServer.NAME);
        locked = new TestServer(TestServer.slow(), new ServerOptions(
                open.host(), 0, open.modelName(), KEY, List.of(), open.maxBodyBytes(), null, false));
        Programs.Outcome run = Programs.run(
                folder, node, "client.mjs", scripted.server.address(), locked.server.address(), KEY);
        assertEquals(0, run.code(), () -> "the client failed: " + run.out() + run.err());
        report = new ObjectMapper().readTree(run.out());
    }

    @BeforeEach
    void skipWhereSomethingIsMissing() {
        assumeTrue(missing == null, missing);
    }

    @AfterAll
    static void stop() {
        for (TestServer server : new TestServer[] {scripted, locked}) {
            if (server != null) {
                server.close();
            }
        }
    }

    private static JsonNode step(String name) {
        JsonNode step = report.path(name);
        assertFalse(step.isMissingNode(), "the client reports nothing of " + name);
        assertFalse(step.has("threw"), () -> name + " failed in the client: " + step.get("threw").asText());
        return step;
    }

    private static JsonNode onlyChoice(JsonNode answer) {
        assertEquals(1, answer.get("choices").size(), "one answer was asked for");
        return answer.get("choices").get(0);
    }

    private static void assertUsage(int prompt, int completion, JsonNode usage) {
        assertEquals(prompt, usage.path("prompt_tokens").asInt(), "usage.prompt_tokens");
        assertEquals(completion, usage.path("completion_tokens").asInt(), "usage.completion_tokens");
        assertEquals(prompt + completion, usage.path("total_tokens").asInt(), "usage.total_tokens");
    }

    private static void assertCalls(JsonNode calls) {
        assertEquals(2, calls.size(), "both calls are found");
        assertEquals("get_weather", calls.get(0).get("name").textValue(), "the first call's function");
        assertEquals("{\"city\":\"Paris \\\"X\\\"\",\"days\":3}", calls.get(0).get("arguments").toString(),
                "the first call's arguments are JSON with a string and a number");
        assertEquals("get_time", calls.get(1).get("name").textValue(), "the second call's function");
        assertEquals("{}", calls.get(1).get("arguments").toString(), "the second call has no arguments");
    }

    private static void assertIds(JsonNode calls) {
        calls.forEach(call -> assertEquals("function", call.path("type").asText(), "the type of a call"));
        assertTrue(calls.get(0).path("id").asText().startsWith("call_"), "a call has an id");
        assertFalse(calls.get(0).get("id").equals(calls.get(1).get("id")), "calls have ids of their own");
    }

    @Test
    void models() {
        JsonNode models = step("models");
        assertEquals(1, models.get("listed").size(), "models.list gives the one model");
        assertEquals(TestServer.NAME, models.get("listed").get(0).get("id").textValue(), "the model's name");
        assertEquals(models.get("listed").get(0), models.get("retrieved"), "models.retrieve gives the same");
    }

    @Test
    void completions() {
        JsonNode answer = step("completion");
        JsonNode choice = onlyChoice(answer);
        assertEquals("text_completion", answer.get("object").textValue(), "the kind of object");
        assertEquals(BEFORE_CALLS + ScriptedModel.CALLS[2], choice.get("text").textValue(), "the text of three tokens");
        assertEquals("length", choice.get("finish_reason").textValue(), "why it ended");
        assertEquals(3, choice.get("logprobs").get("tokens").size(), "a log probability for every token");
        assertEquals(ScriptedModel.CALLS[0].length(), choice.get("logprobs").get("text_offset").get(1).intValue(), "text_offset");
        assertUsage(PROMPT - 2, 3, answer.get("usage")); // without User and Assistant
    }

    @Test
    void completionsInAStream() {
        JsonNode answer = step("completionStream");
        assertEquals(BEFORE_CALLS + ScriptedModel.CALLS[2], answer.get("text").textValue(), "the pieces make up the text");
        assertEquals(5, answer.get("chunks").intValue(), "a chunk for every token, for the end and for the usage");
        assertEquals("length", answer.get("finish").textValue(), "why it ended");
        assertUsage(PROMPT - 2, 3, answer.get("usage"));
    }

    @Test
    void chat() {
        JsonNode answer = step("chat");
        JsonNode choice = onlyChoice(answer);
        assertEquals("chat.completion", answer.get("object").textValue(), "the kind of object");
        assertEquals(TestServer.NAME, answer.get("model").textValue(), "the model's name");
        assertEquals("assistant", choice.get("message").get("role").textValue(), "who speaks");
        assertEquals(WHOLE, choice.get("message").get("content").textValue(), "without tools, calls are text");
        assertEquals("stop", choice.get("finish_reason").textValue(), "why it ended");
        assertUsage(PROMPT, ScriptedModel.CALLS.length + 1, answer.get("usage"));
    }

    @Test
    void contentInParts() {
        JsonNode answer = step("parts");
        assertEquals(WHOLE, onlyChoice(answer).get("message").get("content").textValue(), "the answer");
        assertUsage(PROMPT + "Brief.".length(), ScriptedModel.CALLS.length + 1, answer.get("usage"));
    }

    @Test
    void chatInAStream() {
        JsonNode answer = step("chatStream");
        assertEquals(WHOLE, answer.get("content").textValue(), "the pieces make up the text");
        assertEquals(ScriptedModel.CALLS.length, answer.get("withText").intValue(), "every token comes in a chunk of its own");
        assertEquals("assistant", answer.get("role").textValue(), "the first chunk says who speaks");
        assertEquals("[\"chat.completion.chunk\"]", answer.get("kinds").toString(), "the kind of object");
        assertEquals(1, answer.get("ids").intValue(), "all chunks have the same id");
        assertEquals("stop", answer.get("finish").textValue(), "the last chunk but one says why it ended");
        assertEquals(0, answer.get("early").intValue(), "only the last chunk has the usage");
        assertEquals(0, answer.get("lastChoices").intValue(), "the last chunk has no choices");
        assertUsage(PROMPT, ScriptedModel.CALLS.length + 1, answer.get("usage"));
    }

    @Test
    void tools() {
        JsonNode answer = step("tools");
        assertEquals("tool_calls", answer.get("finish").textValue(), "why it ended");
        assertEquals(BEFORE_CALLS, answer.get("content").textValue(), "the text before the calls");
        assertCalls(answer.get("calls"));
        assertIds(answer.get("calls"));
        JsonNode second = answer.get("second");
        assertEquals("tool_calls", onlyChoice(second).get("finish_reason").textValue(), "results are taken");
        assertTrue(second.get("usage").get("prompt_tokens").intValue() > 500, "the results are in the prompt");
    }

    @Test
    void toolsInAStream() {
        JsonNode answer = step("toolStream");
        assertEquals("tool_calls", answer.get("finish").textValue(), "why it ended");
        assertEquals(BEFORE_CALLS, answer.get("content").textValue(), "the text before the calls");
        assertCalls(answer.get("calls"));
        assertIds(answer.get("calls"));
        assertCalls(answer.get("events"));
        assertEquals(ScriptedModel.CALLS.length + 1, answer.get("usage").get("completion_tokens").intValue(), "the usage");
    }

    @Test
    void toolsThatTheClientRuns() {
        JsonNode answer = step("runTools");
        assertEquals(4, answer.get("called").size(), "two answers with two calls each");
        assertCalls(Answers.JSON.arrayNode().add(answer.get("called").get(0)).add(answer.get("called").get(1)));
        assertEquals("[\"user\",\"assistant\",\"tool\",\"tool\",\"assistant\",\"tool\",\"tool\"]",
                answer.get("roles").toString(), "the conversation goes on behind the results");
    }

    @Test
    void thinking() {
        JsonNode answer = step("thinking");
        String thoughts = String.join("", ScriptedModel.THOUGHTS);
        assertEquals(thoughts, answer.get("message").get("reasoning_content").textValue(), "the thoughts");
        assertEquals(BEFORE_CALLS, answer.get("message").get("content").textValue(), "the text behind them");
        assertEquals(2, answer.get("message").get("tool_calls").size(), "the calls behind them");
        assertEquals(thoughts, answer.get("streamedReasoning").textValue(), "the thoughts in a stream");
        assertEquals(BEFORE_CALLS, answer.get("streamedContent").textValue(), "the text behind them in a stream");
        JsonNode details = answer.get("usage").get("completion_tokens_details");
        assertEquals(ScriptedModel.THOUGHTS.size(), details.get("reasoning_tokens").intValue(), "tokens of thoughts");
    }

    @Test
    void severalAnswers() {
        for (String how : List.of("whole", "streamed")) {
            JsonNode choices = step("several").get(how).get("choices");
            assertEquals(2, choices.size(), how + ": two answers");
            for (int i = 0; i < 2; i++) {
                JsonNode choice = choices.get(i);
                assertEquals(i, choice.get("index").intValue(), how + ": numbered");
                assertEquals(BEFORE_CALLS, choice.get("message").get("content").textValue(), how + ": the text");
                assertEquals("length", choice.get("finish_reason").textValue(), how + ": why it ended");
            }
        }
        assertUsage(PROMPT, 4, step("several").get("whole").get("usage"));
    }

    @Test
    void logprobs() {
        for (String how : List.of("whole", "streamed")) {
            JsonNode content = step("logprobs").get(how);
            assertEquals(2, content.size(), how + ": one for each token");
            for (int i = 0; i < 2; i++) {
                assertEquals(ScriptedModel.CALLS[i], content.get(i).get("token").textValue(), how + ": the token");
                assertEquals(0, content.get(i).get("logprob").doubleValue(), 1e-3, how + ": it was certain");
                assertEquals(ScriptedModel.CALLS[i].length(), content.get(i).get("bytes").size(), how + ": its bytes");
                assertEquals(2, content.get(i).get("top_logprobs").size(), how + ": and the likeliest two");
            }
        }
    }

    @Test
    void stopStrings() {
        JsonNode choice = onlyChoice(step("stop"));
        assertEquals("I will l", choice.get("message").get("content").textValue(), "the text before the stop string");
        assertEquals("stop", choice.get("finish_reason").textValue(), "why it ended");
    }

    /** A client that goes away ends the work for it, and what it held is free again. */
    @Test
    void streamsThatNobodyReadsEnd() throws InterruptedException {
        assertEquals(5, step("abort").get("chunks").intValue(), "the stream ends where it is aborted");
        assertGivenUp("abort", 1);
        assertGivenUp("leave", 2);
        scripted.assertNothingHeld();
    }

    @Test
    void answersThatNobodyWaitsForEnd() throws InterruptedException {
        assertEquals("APIUserAbortError", step("abortOfAWhole").get("class").textValue(), "what the client throws");
        assertGivenUp("abortOfAWhole", 3);
        locked.assertNothingHeld();
    }

    private static void assertGivenUp(String name, int aborted) {
        assertEquals(0, step(name).get("running").intValue(), name + ": nothing runs, and the client is still there");
        assertEquals(aborted, step(name).get("aborted").intValue(), name + ": the answer was given up, not finished");
    }

    @Test
    void errors() {
        assertError("model", "NotFoundError", 404, "model_not_found", null);
        assertError("retrieved", "NotFoundError", 404, "model_not_found", null);
        assertError("temperature", "BadRequestError", 400, null, "temperature");
        assertError("stream", "BadRequestError", 400, null, "temperature");
        assertError("message", "BadRequestError", 400, null, "messages[0].content[0].type");
        assertError("length", "BadRequestError", 400, "context_length_exceeded", "max_tokens");
        assertError("completion", "BadRequestError", 400, null, "max_tokens");
        assertError("wrongKey", "AuthenticationError", 401, "invalid_api_key", null);
        assertEquals("none: it succeeded", step("errors").get("rightKey").get("class").textValue(), "the right key");
    }

    private static void assertError(String name, String kind, int status, String code, String param) {
        JsonNode error = step("errors").get(name);
        assertEquals(kind, error.get("class").textValue(), name + ": what a user catches");
        assertEquals(status, error.get("status").intValue(), name + ": the status");
        assertEquals("invalid_request_error", error.get("type").textValue(), name + ": the type");
        assertEquals(code, error.get("code").textValue(), name + ": the code");
        assertEquals(param, error.get("param").textValue(), name + ": the field that is wrong");
        assertTrue(error.get("message").textValue().endsWith("."), name + ": a sentence");
    }
}
