package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** {@code engine serve} as a process: how it begins and how it ends. */
class ServeIT {
    private static final Pattern SERVING = Pattern.compile("engine: serving (\\S+) at (http://\\S+) with caches of \\d+ tokens\\.");
    private final HttpClient client = HttpClient.newHttpClient();
    private final Queue<String> lines = new ConcurrentLinkedQueue<>();
    private Process process;
    private Thread reader;
    private String address;

    @AfterEach
    void end() {
        if (process != null) {
            process.destroyForcibly();
        }
    }

    private static List<String> command(String... args) {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        return Stream.concat(
                        Stream.of(java, "--add-modules", "jdk.incubator.vector", "-jar", System.getProperty("gyre.engine.jar"), "serve"),
                        Stream.of(args))
                .toList();
    }

    private void serve(String... args) throws Exception {
        process = new ProcessBuilder(command(args)).start();
        CompletableFuture<String> begun = new CompletableFuture<>();
        reader = Thread.ofVirtual().start(() -> {
            try (BufferedReader err =
                    new BufferedReader(new InputStreamReader(process.getErrorStream(), StandardCharsets.UTF_8))) {
                for (String line = err.readLine(); line != null; line = err.readLine()) {
                    lines.add(line);
                    Matcher serving = SERVING.matcher(line);
                    if (serving.matches()) {
                        begun.complete(serving.group(2));
                    }
                }
            } catch (IOException e) {
                begun.completeExceptionally(e);
            }
        });
        address = begun.get(60, TimeUnit.SECONDS);
    }

    private CompletableFuture<HttpResponse<String>> generate(int tokens) {
        HttpRequest request = HttpRequest.newBuilder(URI.create(address + "/generate"))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{\"text\":\"secret words\",\"sampling_params\":{\"temperature\":0,"
                        + "\"ignore_eos\":true,\"max_new_tokens\":" + tokens + "}}"))
                .build();
        return client.sendAsync(request, HttpResponse.BodyHandlers.ofString());
    }

    private void awaitRunning() throws Exception {
        HttpRequest metrics = HttpRequest.newBuilder(URI.create(address + "/metrics")).build();
        await(() -> client.send(metrics, HttpResponse.BodyHandlers.ofString())
                .body()
                .contains("gyre_num_running_reqs{model_name=\"tiny-v32\"} 1.0"));
    }

    private static void await(Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!condition.call()) {
            assertTrue(System.nanoTime() < end, "it did not happen within a minute");
            Thread.sleep(5);
        }
    }

    @Test
    void whatRunsIsFinished() throws Exception {
        serve("--port", "0");
        CompletableFuture<HttpResponse<String>> running = generate(3000);
        awaitRunning();
        process.toHandle().destroy(); // SIGTERM; the process' own method would close its stderr
        await(() -> lines.stream().anyMatch(line -> line.startsWith("engine: stopping; waiting for 1 running")));
        HttpResponse<String> refused = generate(1).get(30, TimeUnit.SECONDS);
        assertEquals(503, refused.statusCode(), refused.body());
        HttpResponse<String> whole = running.get(60, TimeUnit.SECONDS);
        assertEquals(200, whole.statusCode());
        assertTrue(whole.body().contains("\"completion_tokens\":3000"), whole.body());
        assertTrue(process.waitFor(30, TimeUnit.SECONDS));
        assertEquals(0, process.exitValue());
        reader.join();
        assertTrue(lines.contains("engine: stopped."), lines.toString());
        List<String> log = lines.stream().filter(line -> line.startsWith("{")).toList();
        assertTrue(log.stream().anyMatch(line -> line.contains("\"path\":\"/generate\",\"status\":200")
                && line.contains("\"completion_tokens\":3000")), log.toString());
        assertFalse(log.toString().contains("secret"), "the log has the prompt");
    }

    @Test
    void whatTakesTooLongIsNot() throws Exception {
        serve("--port", "0", "--shutdown-timeout", "0.2", "--no-access-log", "--served-model-name", "tiny-v32");
        CompletableFuture<HttpResponse<String>> running = generate(8000);
        awaitRunning();
        process.toHandle().destroy();
        assertTrue(process.waitFor(30, TimeUnit.SECONDS));
        assertEquals(1, process.exitValue());
        reader.join();
        assertTrue(lines.contains("engine: stopped before all requests were complete."), lines.toString());
        assertTrue(lines.stream().noneMatch(line -> line.startsWith("{")), lines.toString());
        assertTrue(running.handle((response, failure) -> failure != null || response.statusCode() == 503).get());
    }

    @Test
    void whatCannotBegin() throws IOException {
        try (ServerSocket taken = new ServerSocket(0)) {
            String port = Integer.toString(taken.getLocalPort());
            assertFails(1, "engine: cannot listen at 127.0.0.1:" + port + ": Address already in use", "--port", port);
        }
        assertFails(2, "engine: --port must be from 0 to 65535, not 70000.", "--port", "70000");
        assertFails(2, "engine: --max-running-requests must be at least 1, not 0.", "--max-running-requests", "0");
        assertFails(2, "engine: --api-key must be made of visible ASCII characters.", "--api-key", "a b");
        assertFails(2, "engine: --shutdown-timeout must be from 0 to 1000000 seconds, not -1.0.", "--shutdown-timeout", "-1");
        assertFails(1, "engine: cannot listen at no.such.host.invalid:0", "--host", "no.such.host.invalid", "--port", "0");
    }

    private static void assertFails(int code, String sentence, String... args) {
        List<String> words = new ArrayList<>(command(args));
        Outcome outcome = Outcome.process(Map.of(), words);
        assertEquals(code, outcome.code(), outcome.err());
        assertEquals("", outcome.out());
        List<String> said = outcome.err().lines().filter(line -> line.startsWith("engine: ")).toList();
        assertEquals(1, said.size(), outcome.err());
        assertTrue(said.getFirst().startsWith(sentence), said.getFirst());
        assertFalse(outcome.err().contains("\tat "), outcome.err());
    }
}
