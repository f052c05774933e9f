package dev.gyre.launcher.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.engine.EngineOptions;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.Generator;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.SamplingOptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * 64 clients with 1,000 requests of random prefixes and lengths, some of which they give up: every greedy answer is the
 * one that the model gives alone, by another way through the code; no page stays held; memory stays flat. And the same
 * among clients who misbehave.
 */
class ManyClientsTest {
    private static final int CLIENTS = 64;
    private static final int REQUESTS = 1000;
    private static final int CONTEXT = 1024;
    private static final int DISTINCT = 50;
    private static final long MOST_GROWTH = 24 << 20;
    /** An answer of a megabyte and a half. */
    private static final String CHATTY =
            "{\"prompt\":\"x\",\"max_tokens\":700,\"ignore_eos\":true,\"stream\":true,\"logprobs\":20}";
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private record Case(int[] prompt, int newTokens, int[] answer) {}

    private static final List<Case> CASES = new ArrayList<>();

    @BeforeAll
    static void answerAlone() {
        Random random = new Random(23);
        int[] common = random.ints(400, 100, 4000).toArray();
        try (Model model = Model.open(ModelOptions.defaults().withContextLength(CONTEXT));
                ModelRunner runner = model.runner(1, CONTEXT)) {
            Generator generator = new Generator(model, runner);
            for (int i = 0; i < DISTINCT; i++) {
                int shared = new int[] {0, 64, 100, 250, 400}[random.nextInt(5)];
                int[] prompt = Arrays.copyOf(common, shared + 1 + random.nextInt(80));
                for (int at = shared; at < prompt.length; at++) {
                    prompt[at] = 100 + random.nextInt(3900);
                }
                int count = 1 + random.nextInt(24);
                var sequence = runner.start();
                GenerationOptions options = new GenerationOptions(count, SamplingOptions.GREEDY, List.of(), Set.of(), true);
                CASES.add(new Case(prompt, count, generator.generate(sequence, prompt, options, piece -> {}).outputIds()));
                runner.end(sequence);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void everyAnswerIsTheOneAlone(boolean chaos) throws Exception {
        // room for about a dozen sequences, so that requests wait and pages are given up
        EngineOptions options = EngineOptions.defaults()
                .withModel(ModelOptions.defaults().withContextLength(CONTEXT))
                .withMaxTotalTokens(64 * 100)
                .withMaxRunning(24);
        try (TestServer server = new TestServer(options)) {
            List<AutoCloseable> nuisances = chaos ? misbehave(server) : List.of();
            Thread rude = Thread.ofVirtual().unstarted(() -> hangUpAgainAndAgain(server));
            if (chaos) {
                rude.start();
            }
            AtomicInteger numbers = new AtomicInteger();
            run(server, numbers, REQUESTS / 3);
            long before = heap();
            int complete = run(server, numbers, REQUESTS);
            rude.interrupt();
            server.assertNothingHeld(); // although those who never read are still there
            long growth = heap() - before;
            assertTrue(growth < MOST_GROWTH, "the heap grew by " + growth + " bytes");
            assertTrue(complete > REQUESTS / 3, complete + " answers were read to their end");
            assertTrue(server.engine.stats().evictedPages() > 0);
            for (AutoCloseable nuisance : nuisances) {
                nuisance.close();
            }
            server.engine.flushCache();
            assertEquals(0, server.engine.stats().tokensKept());
        }
    }

    private static long heap() {
        System.gc();
        return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
    }

    /** All clients, until this many requests were begun; how many were answered whole in this call. */
    private static int run(TestServer server, AtomicInteger numbers, int until) throws InterruptedException {
        ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();
        AtomicInteger complete = new AtomicInteger();
        try (HttpClient client = client();
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) { // closed first: waits for all
            for (int c = 0; c < CLIENTS; c++) {
                threads.execute(() -> {
                    for (int n = numbers.getAndIncrement(); n < until && failures.isEmpty(); n = numbers.getAndIncrement()) {
                        try {
                            if (request(server, client, new Random(n))) {
                                complete.incrementAndGet();
                            }
                        } catch (Throwable e) {
                            failures.add(e);
                        }
                    }
                });
            }
        }
        numbers.set(until);
        if (!failures.isEmpty()) {
            throw new AssertionError(failures.size() + " failures", failures.peek());
        }
        return complete.get();
    }

    /** One request and the check of its answer; false where it was given up. */
    private static boolean request(TestServer server, HttpClient client, Random random)
            throws IOException, InterruptedException {
        Case one = CASES.get(random.nextInt(DISTINCT));
        boolean stream = random.nextInt(3) > 0;
        HttpRequest request = server.request("/v1/completions")
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body(one.prompt, one.newTokens, stream)))
                .build();
        if (!stream) {
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            assertEquals(200, response.statusCode(), response.body());
            check(one, MAPPER.readTree(response.body()).get("choices").get(0).get("token_ids"));
            return true;
        }
        if (random.nextInt(3) > 0) {
            return read(client, request, one, Integer.MAX_VALUE);
        }
        // Java's client closes the connection of an answer that is given up, even where that has just ended and another
        // request has taken the connection over: so those who give up have their own
        try (HttpClient own = client()) {
            return read(own, request, one, random.nextInt(one.newTokens + 1));
        }
    }

    private static HttpClient client() {
        return HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    }

    /** Reads events and checks their tokens; false where it was given up after so many. */
    private static boolean read(HttpClient client, HttpRequest request, Case one, int giveUpAfter)
            throws IOException, InterruptedException {
        HttpResponse<InputStream> response = client.send(request, HttpResponse.BodyHandlers.ofInputStream());
        assertEquals(200, response.statusCode());
        var ids = MAPPER.createArrayNode();
        try (BufferedReader reader =
                new BufferedReader(new InputStreamReader(response.body(), StandardCharsets.UTF_8))) {
            String line = reader.readLine();
            while (line != null && !line.equals("data: [DONE]")) {
                if (line.startsWith("data: ")) {
                    MAPPER.readTree(line.substring(6)).get("choices").get(0).path("token_ids").forEach(ids::add);
                }
                if (ids.size() >= giveUpAfter) {
                    return false;
                }
                line = reader.readLine();
            }
            assertEquals("data: [DONE]", line);
            assertEquals("", reader.readLine());
            assertNull(reader.readLine());
        }
        check(one, ids);
        return true;
    }

    private static String body(int[] prompt, int newTokens, boolean stream) {
        return "{\"prompt\":" + Arrays.toString(prompt) + ",\"max_tokens\":" + newTokens
                + ",\"temperature\":0,\"ignore_eos\":true,\"return_token_ids\":true,\"stream\":" + stream + "}";
    }

    private static void check(Case one, JsonNode ids) {
        assertEquals(Arrays.toString(one.answer), ids.toString().replace(",", ", "));
    }

    /** Clients who send half a request and stay, and clients who ask and never read. */
    private static List<AutoCloseable> misbehave(TestServer server) throws IOException {
        URI address = URI.create(server.server.address());
        List<AutoCloseable> open = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            Socket half = new Socket(address.getHost(), address.getPort());
            write(half, CHATTY, CHATTY.length() / 2);
            open.add(half);
            Socket deaf = new Socket();
            deaf.setReceiveBufferSize(4096);
            deaf.connect(new InetSocketAddress(address.getHost(), address.getPort()));
            write(deaf, CHATTY, CHATTY.length());
            open.add(deaf);
        }
        return open;
    }

    private static void hangUpAgainAndAgain(TestServer server) {
        URI address = URI.create(server.server.address());
        Random random = new Random(4);
        while (!Thread.currentThread().isInterrupted()) {
            try (Socket socket = new Socket(address.getHost(), address.getPort())) {
                socket.setSoLinger(true, 0); // a reset, not a farewell
                write(socket, CHATTY, random.nextInt(4) == 0 ? 20 : CHATTY.length());
                Thread.sleep(random.nextInt(60));
            } catch (IOException e) {
                // the server may have hung up first
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    private static void write(Socket socket, String body, int count) throws IOException {
        OutputStream out = socket.getOutputStream();
        out.write(("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
                + body.length() + "\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
        out.write(body.getBytes(StandardCharsets.US_ASCII), 0, count);
        out.flush();
    }
}
