package dev.gyre.benchmarks;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.util.Arrays;
import java.util.concurrent.Flow;
import java.util.stream.DoubleStream;

/**
 * Reads the server-sent events of one answer, on the HTTP client's thread, so that the time of a token is the time at
 * which it arrived. Latencies are defined as in SGLang's {@code bench_serving}, but a token counts when it comes even
 * where it has no text yet (half a character): {@code /generate} counts tokens. {@code /v1/completions} does not, and
 * there a piece of text stands for a token.
 */
final class LoadStream implements Flow.Subscriber<String> {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final int LONGEST_ERROR = 2000;

    private final LoadPlan.Request request;
    private final boolean openAi;
    private final long sent;
    private final StringBuilder text = new StringBuilder();
    private final StringBuilder other = new StringBuilder();
    private final DoubleStream.Builder gaps = DoubleStream.builder();
    private int[] ids;
    private long first;
    private long last;
    private long end;
    private int tokens;
    private boolean done;
    private String error;

    LoadStream(LoadPlan.Request request, boolean openAi) {
        this.request = request;
        this.openAi = openAi;
        sent = System.nanoTime();
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
        subscription.request(Long.MAX_VALUE);
    }

    @Override
    public void onNext(String line) {
        long now = System.nanoTime();
        if (!line.startsWith("data:")) {
            if (!line.startsWith(":") && other.length() < LONGEST_ERROR) {
                other.append(line);
            }
            return;
        }
        String data = line.substring("data:".length()).strip();
        end = now;
        if (data.equals("[DONE]")) {
            done = true;
            return;
        }
        try {
            JsonNode event = MAPPER.readTree(data);
            if (event.hasNonNull("error")) {
                error = message(event);
            } else if (openAi) {
                completion(event, now);
            } else {
                generate(event, now);
            }
        } catch (JsonProcessingException e) {
            error = "an event is not JSON: " + e.getOriginalMessage();
        }
    }

    private void generate(JsonNode event, long now) {
        JsonNode meta = event.path("meta_info");
        int count = meta.path("completion_tokens").intValue();
        JsonNode given = event.path("output_ids");
        if (given.isArray()) {
            // all of them so far, or those that are new
            int kept = given.size() == count || ids == null ? 0 : ids.length;
            int[] found = Arrays.copyOf(kept == 0 ? new int[0] : ids, kept + given.size());
            for (int i = 0; i < given.size(); i++) {
                found[kept + i] = given.get(i).intValue();
            }
            ids = found;
        }
        if (count > tokens) {
            arrived(count - tokens, now);
            tokens = count;
        }
        text.setLength(0);
        text.append(event.path("text").asText(""));
        JsonNode finish = meta.path("finish_reason");
        if (finish.path("type").asText().equals("abort")) {
            error = "the answer was aborted: " + finish.path("message").asText();
        }
    }

    private void completion(JsonNode event, long now) {
        String piece = event.path("choices").path(0).path("text").asText("");
        if (!piece.isEmpty()) {
            arrived(1, now);
            text.append(piece);
        }
        if (event.hasNonNull("usage")) {
            tokens = event.path("usage").path("completion_tokens").intValue();
        }
    }

    private void arrived(int count, long now) {
        if (first == 0) {
            first = now;
        } else {
            for (int i = 0; i < count; i++) {
                gaps.add((double) (now - last) / count);
            }
        }
        last = now;
    }

    @Override
    public void onError(Throwable thrown) {} // the client's future fails with the same

    @Override
    public void onComplete() {}

    /** What was read, once the answer is complete. */
    LoadAnswer answer(int status) {
        if (status != 200) {
            error = "HTTP " + status + ": " + (error == null ? errorOf(other.toString()) : error);
        } else if (error == null && !done) {
            error = "the stream ended without [DONE].";
        } else if (error == null && tokens == 0) {
            error = openAi ? "the stream had no usage, which include_usage asks for." : "the answer has no tokens.";
        }
        long begun = first == 0 ? end : first;
        return new LoadAnswer(request, error, sent, begun - sent, end - sent, gaps.build().toArray(), tokens, ids,
                text.toString());
    }

    private static String errorOf(String body) {
        try {
            return message(MAPPER.readTree(body));
        } catch (JsonProcessingException e) {
            return body;
        }
    }

    private static String message(JsonNode body) {
        JsonNode error = body.path("error");
        return error.hasNonNull("message") ? error.path("message").asText() : body.toString();
    }
}
