package dev.gyre.launcher.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.EngineOptions;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A server in this process, and a client for it. */
final class TestServer implements AutoCloseable {
    static final String NAME = "test-model";
    private static final ObjectMapper MAPPER = new ObjectMapper();

    final Engine engine;
    final ApiServer server;
    final StringWriter log = new StringWriter();
    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    TestServer(EngineOptions engineOptions, ServerOptions options) {
        ServerMetrics metrics = new ServerMetrics(options.modelName());
        engine = Engine.create(engineOptions, metrics);
        server = ApiServer.start(engine, options, metrics, "test", new PrintWriter(log));
    }

    /** The embedded model without vectors: an answer of its whole context takes a minute on any machine. */
    static EngineOptions slow() {
        return EngineOptions.defaults().withModel(
                ModelOptions.defaults().withAttention(null, Map.of(Phase.LINEAR, Providers.REFERENCE)));
    }

    TestServer(EngineOptions engineOptions) {
        this(engineOptions, ServerOptions.local(NAME));
    }

    /** A status and a body. */
    record Reply(int status, String body, HttpResponse<String> response) {
        JsonNode json() {
            try {
                return MAPPER.readTree(body);
            } catch (IOException e) {
                throw new AssertionError("not JSON: " + body, e);
            }
        }

        JsonNode ok() {
            assertEquals(200, status, body);
            return json();
        }

        String header(String name) {
            return response.headers().firstValue(name).orElse(null);
        }
    }

    HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(server.address() + path)).timeout(Duration.ofMinutes(2));
    }

    Reply send(HttpRequest request) {
        try {
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            return new Reply(response.statusCode(), response.body(), response);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    Reply get(String path) {
        return send(request(path).GET().build());
    }

    Reply post(String path, String json) {
        return send(request(path)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(json))
                .build());
    }

    Reply post(String path, JsonNode json) {
        return post(path, json.toString());
    }

    /** The events of a stream, which must end with [DONE]. */
    List<JsonNode> events(String path, String json) {
        Reply reply = post(path, json);
        assertEquals(200, reply.status(), reply.body());
        assertEquals("text/event-stream; charset=utf-8", reply.header("Content-Type"));
        List<String> data = reply.body().lines().filter(line -> line.startsWith("data: ")).map(line -> line.substring(6)).toList();
        assertEquals("[DONE]", data.getLast());
        List<JsonNode> events = new ArrayList<>();
        for (String one : data.subList(0, data.size() - 1)) {
            try {
                events.add(MAPPER.readTree(one));
            } catch (IOException e) {
                throw new AssertionError(one, e);
            }
        }
        return events;
    }

    /** Waits until something runs. */
    void awaitRunning() throws InterruptedException {
        for (int i = 0; i < 10_000 && engine.stats().running() == 0; i++) {
            Thread.sleep(1);
        }
        assertEquals(1, engine.stats().running());
    }

    /** Waits until the access log has this text: a request's line is written after its answer has been sent. */
    void awaitLog(String text) throws InterruptedException {
        for (int i = 0; i < 1000 && !log.toString().contains(text); i++) {
            Thread.sleep(10);
        }
        assertTrue(log.toString().contains(text), log::toString);
    }

    /** Waits until nothing runs; no page may then be held. */
    void assertNothingHeld() throws InterruptedException {
        for (int i = 0; i < 3000 && (engine.stats().running() > 0 || engine.stats().queued() > 0); i++) {
            Thread.sleep(10);
        }
        assertEquals(0, engine.stats().running());
        assertEquals(0, engine.stats().queued());
        assertEquals(0, engine.stats().tokensInUse());
    }

    @Override
    public void close() {
        server.close();
        engine.close();
        client.close();
    }
}
