package dev.gyre.launcher.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.launcher.server.TestServer.Reply;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.engine.EngineOptions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;

/** Who may ask the server: keys, other sites' pages, names and paths of other spellings; and what the log tells. */
class AccessTest {
    private static TestServer server;

    @BeforeAll
    static void start() {
        server = new TestServer(EngineOptions.defaults().withModel(ModelOptions.defaults().withContextLength(1024)));
    }

    @AfterAll
    static void stop() {
        server.close();
    }

    /** What a browser sends for a page of another site, and for a name that leads here and is not ours. */
    @Test
    void otherSitesHaveNoBusinessHere() throws IOException {
        HttpRequest.Builder post = server.request("/flush_cache").POST(HttpRequest.BodyPublishers.noBody());
        assertEquals(403, server.send(post.copy().header("Origin", "https://foe.example").build()).status());
        String own = server.server.address();
        assertEquals(200, server.send(post.copy().header("Origin", own).build()).status());
        for (String[] host : new String[][] {{"foe.example", "403"}, {"localhost:1", "200"}, {"127.0.0.1", "200"}, {"[::1]", "200"}}) {
            assertEquals("HTTP/1.1 " + host[1], raw("GET /v1/models HTTP/1.1\r\nHost: " + host[0] + "\r\n").substring(0, 12));
        }
    }

    /** Names of other spellings do not lead past the key. */
    @Test
    void pathsOfOtherSpellings() throws IOException {
        for (String path : new String[] {"//v1/models", "/v1/models/", "/%76%31/nothing", "/V1/models", "/v1/models/../x", "/;"}) {
            assertTrue(raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n").startsWith("HTTP/1.1 404"), path);
        }
    }

    private static String raw(String head) throws IOException {
        URI address = URI.create(server.server.address());
        try (Socket socket = new Socket(address.getHost(), address.getPort())) {
            socket.getOutputStream().write((head + "Connection: close\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    @Test
    void keys() throws InterruptedException {
        ServerOptions options = new ServerOptions(
                "127.0.0.1", 0, "m", "sesame", List.of("https://friend.example"), 1 << 20, Duration.ofMillis(200), true);
        EngineOptions engine = EngineOptions.defaults().withModel(ModelOptions.defaults().withContextLength(1024));
        try (TestServer guarded = new TestServer(engine, options)) {
            assertEquals(401, guarded.get("/v1/models").status());
            assertEquals("invalid_api_key", guarded.get("/v1/models").json().get("error").get("code").textValue());
            assertEquals(200, guarded.get("/health").status());
            assertEquals(200, guarded.get("/").status());
            assertEquals(200, guarded.get("/metrics").status());
            assertEquals(401, withKey(guarded, "wrong").status());
            assertEquals(401, withKey(guarded, "s").status());
            // friends may ask, whatever the method; others are told nothing
            HttpRequest.Builder preflight = guarded.request("/v1/models")
                    .method("OPTIONS", HttpRequest.BodyPublishers.noBody())
                    .header("Access-Control-Request-Headers", "authorization,x-stainless-lang")
                    .header("Access-Control-Request-Method", "GET");
            Reply friend = guarded.send(preflight.copy().header("Origin", "https://friend.example").build());
            assertEquals(204, friend.status());
            assertEquals("https://friend.example", friend.header("Access-Control-Allow-Origin"));
            assertEquals("authorization,x-stainless-lang", friend.header("Access-Control-Allow-Headers"));
            assertNull(guarded.send(preflight.copy().header("Origin", "https://foe.example").build())
                    .header("Access-Control-Allow-Origin"));
            // the deadline of 0.2 s
            Reply slow = guarded.send(guarded.request("/v1/completions")
                    .header("Authorization", "bearer sesame")
                    .header("Content-Type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString("{\"prompt\":\"x\",\"max_tokens\":1000,\"ignore_eos\":true}"))
                    .build());
            assertEquals(504, slow.status(), slow.body());
            guarded.awaitLog("\"path\":\"/v1/completions\",\"status\":504");
            assertFalse(guarded.log.toString().contains("\"x\""), "the log has the prompt");
        }
    }

    private static Reply withKey(TestServer guarded, String key) {
        return guarded.send(guarded.request("/v1/models").header("Authorization", "Bearer " + key).build());
    }
}
