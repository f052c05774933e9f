package dev.gyre.benchmarks;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.EngineException;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Talks to a server: SGLang's {@code /generate} or OpenAI's {@code /v1/completions}, streamed, greedy. */
final class LoadClient implements AutoCloseable {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final Duration SHORT = Duration.ofSeconds(10);
    private static final int POLL_MILLIS = 100;

    private final Options options;
    private final HttpClient http;
    private String model;

    /**
     * How to ask.
     *
     * @param baseUrl without a slash at its end
     * @param apiKey null for none
     * @param model what OpenAI's API asks for; null for the first that the server names
     * @param timeout after which an answer is given up
     */
    record Options(
            String baseUrl, boolean openAi, String apiKey, String model, boolean ignoreEos, Duration timeout) {}

    LoadClient(Options options) {
        this.options = options;
        model = options.model();
        http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(SHORT).build();
    }

    private HttpRequest.Builder at(String path) {
        HttpRequest.Builder request;
        try {
            request = HttpRequest.newBuilder(URI.create(options.baseUrl() + path));
        } catch (IllegalArgumentException e) {
            throw EngineException.usage("--base-url is '" + options.baseUrl() + "' and must be like http://HOST:PORT.");
        }
        return options.apiKey() == null ? request : request.header("Authorization", "Bearer " + options.apiKey());
    }

    /** Waits until the server takes requests. */
    void awaitHealth(Duration most) throws InterruptedException {
        HttpRequest request = at("/health").timeout(SHORT).build();
        long deadline = System.nanoTime() + most.toNanos();
        String last;
        do {
            try {
                int status = http.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
                if (status == 200) {
                    return;
                }
                last = "HTTP " + status;
            } catch (IOException e) {
                last = describe(e);
            }
            Thread.sleep(POLL_MILLIS);
        } while (System.nanoTime() < deadline);
        throw new EngineException("no server answers at " + options.baseUrl() + "/health after " + most.toSeconds()
                + " s (" + last + "); start one, or give its --base-url.");
    }

    /** The vocabulary's size; 0 where the server does not say. */
    int vocabulary() throws InterruptedException {
        JsonNode info = get("/get_model_info");
        return info == null ? 0 : info.path("vocabulary_size").intValue();
    }

    /** Finds out what the model is called, where that is needed. */
    void findModel() throws InterruptedException {
        if (options.openAi() && model == null) {
            JsonNode models = get("/v1/models");
            model = models == null ? null : models.path("data").path(0).path("id").textValue();
            if (model == null) {
                throw new EngineException(options.baseUrl() + "/v1/models names no model; give --model.");
            }
        }
    }

    private JsonNode get(String path) throws InterruptedException {
        try {
            HttpResponse<String> answer =
                    http.send(at(path).timeout(SHORT).build(), HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() == 401) {
                throw new EngineException(options.baseUrl() + " wants another --api-key.");
            }
            return answer.statusCode() == 200 ? MAPPER.readTree(answer.body()) : null;
        } catch (IOException e) {
            throw new EngineException(options.baseUrl() + path + " does not answer: " + describe(e) + ".", e);
        }
    }

    /** Has the server forget what it computed. */
    void flushCache() throws InterruptedException {
        try {
            HttpRequest request = at("/flush_cache").timeout(SHORT).POST(HttpRequest.BodyPublishers.noBody()).build();
            int status = http.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
            if (status != 200) {
                throw new EngineException(options.baseUrl() + "/flush_cache answers with " + status
                        + "; leave --flush-cache out where the server has no such thing.");
            }
        } catch (IOException e) {
            throw new EngineException(options.baseUrl() + "/flush_cache does not answer: " + describe(e) + ".", e);
        }
    }

    /** Sends a request and reads the answer; whatever goes wrong is in it. */
    LoadAnswer send(LoadPlan.Request request) throws InterruptedException {
        HttpRequest http1 = at(options.openAi() ? "/v1/completions" : "/generate")
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body(request).toString()))
                .build();
        LoadStream stream = new LoadStream(request, options.openAi());
        CompletableFuture<HttpResponse<Void>> answer =
                http.sendAsync(http1, HttpResponse.BodyHandlers.fromLineSubscriber(stream));
        try {
            int status = answer.get(options.timeout().toNanos(), TimeUnit.NANOSECONDS).statusCode();
            return stream.answer(status).checked(options.ignoreEos());
        } catch (TimeoutException e) {
            answer.cancel(true);
            return LoadAnswer.failed(request, "no whole answer within " + options.timeout().toSeconds() + " s.");
        } catch (ExecutionException e) {
            return LoadAnswer.failed(request, describe(e.getCause()));
        }
    }

    private ObjectNode body(LoadPlan.Request request) {
        ObjectNode body = MAPPER.createObjectNode();
        ArrayNode ids = MAPPER.createArrayNode();
        for (int id : request.prompt()) {
            ids.add(id);
        }
        ObjectNode sampling = body;
        if (options.openAi()) {
            body.put("model", model).put("max_tokens", request.outputTokens()).set("prompt", ids);
            body.putObject("stream_options").put("include_usage", true);
        } else {
            body.set("input_ids", ids);
            sampling = body.putObject("sampling_params").put("max_new_tokens", request.outputTokens());
        }
        sampling.put("temperature", 0.0).put("ignore_eos", options.ignoreEos());
        return body.put("stream", true);
    }

    private static String describe(Throwable e) {
        return e.getClass().getSimpleName() + (e.getMessage() == null ? "" : ": " + e.getMessage());
    }

    @Override
    public void close() {
        http.shutdownNow(); // what was given up must not keep the process
        http.close();
    }
}
