package dev.gyre.launcher.server;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * One HTTP request and its answer. An answer is either sent whole, or as a stream of server-sent events, or whole but
 * late: then blank lines go before it, by which both sides notice when the other is gone.
 */
final class Call {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final byte[] DONE = "data: [DONE]\n\n".getBytes(StandardCharsets.US_ASCII);

    private static final long MOST_HEARD_OUT = 64L << 20;

    private enum State {
        OPEN,
        LATE,
        EVENTS,
        SENT
    }

    private final HttpExchange exchange;
    private final int maxBodyBytes;
    private final Map<String, Object> notes = new LinkedHashMap<>();
    private State state = State.OPEN;
    private int status;
    private long lastSent = System.nanoTime();

    Call(HttpExchange exchange, int maxBodyBytes) {
        this.exchange = exchange;
        this.maxBodyBytes = maxBodyBytes;
    }

    String method() {
        return exchange.getRequestMethod();
    }

    String path() {
        return exchange.getRequestURI().getPath();
    }

    String header(String name) {
        return exchange.getRequestHeaders().getFirst(name);
    }

    void setHeader(String name, String value) {
        exchange.getResponseHeaders().set(name, value);
    }

    /** Something for the access log. */
    void note(String name, Object value) {
        notes.put(name, value);
    }

    Map<String, Object> notes() {
        return notes;
    }

    /** The status that was sent; 0 where none was. */
    int status() {
        return status;
    }

    /** The request's JSON. */
    Body body() throws IOException {
        String type = header("Content-Type");
        // a page of some other site can have a browser send text here, but not JSON, unless CORS allows it
        if (type == null || !type.toLowerCase(Locale.ROOT).startsWith("application/json")) {
            throw ApiError.of(415, null, "the request's Content-Type must be application/json.");
        }
        return Body.parse(bytes());
    }

    private byte[] bytes() throws IOException {
        String length = header("Content-Length");
        if (length == null || Long.parseLong(length) <= maxBodyBytes) { // the server has checked that it is a number
            byte[] bytes = exchange.getRequestBody().readNBytes(maxBodyBytes + 1);
            if (bytes.length <= maxBodyBytes) {
                return bytes;
            }
        }
        // a client that still sends would not read the answer; within reason it is heard out
        exchange.getRequestBody().skip(MOST_HEARD_OUT);
        throw ApiError.of(413, null, "the request is larger than " + maxBodyBytes + " bytes.");
    }

    /** Whether nothing was sent for this long. */
    boolean silentFor(Duration time) {
        return System.nanoTime() - lastSent >= time.toNanos();
    }

    /** Sends a whole answer; behind blank lines where these were sent before it. */
    void send(int code, String type, byte[] bytes) throws IOException {
        if (state == State.LATE) { // the head was sent before
            state = State.SENT;
            try (OutputStream out = exchange.getResponseBody()) {
                out.write(bytes);
            }
            return;
        }
        status = code;
        state = State.SENT;
        setHeader("Content-Type", type);
        boolean none = bytes.length == 0 || method().equals("HEAD");
        exchange.sendResponseHeaders(code, none ? -1 : bytes.length);
        if (!none) {
            try (OutputStream out = exchange.getResponseBody()) {
                out.write(bytes);
            }
        }
    }

    /** The same with JSON. */
    void send(int code, JsonNode json) throws IOException {
        send(code, "application/json", encode(json));
    }

    /** Sends an error, in whatever way is still open. */
    void send(ApiError error) throws IOException {
        if (state == State.EVENTS) {
            event(error.body());
            finishEvents();
        } else if (state != State.SENT) {
            if (error.retryAfter() > 0) {
                setHeader("Retry-After", Integer.toString(error.retryAfter()));
            }
            send(error.status(), error.body());
        }
    }

    /** A blank line before an answer that is late. */
    void late() throws IOException {
        if (state == State.OPEN) {
            state = State.LATE;
            begin("application/json");
        }
        exchange.getResponseBody().write('\n');
        exchange.getResponseBody().flush();
        lastSent = System.nanoTime();
    }

    /** Sends an event; the first one begins the stream. */
    void event(JsonNode json) throws IOException {
        beginEvents();
        OutputStream out = exchange.getResponseBody();
        out.write("data: ".getBytes(StandardCharsets.US_ASCII));
        out.write(encode(json));
        out.write('\n');
        out.write('\n');
        out.flush();
        lastSent = System.nanoTime();
    }

    /** A blank line in the stream, which readers of events pass over: fails where the client is gone. */
    void alive() throws IOException {
        beginEvents();
        exchange.getResponseBody().write('\n');
        exchange.getResponseBody().flush();
        lastSent = System.nanoTime();
    }

    /** Ends the stream of events. */
    void finishEvents() throws IOException {
        state = State.SENT;
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(DONE);
        }
    }

    private void beginEvents() throws IOException {
        if (state == State.OPEN) {
            state = State.EVENTS;
            setHeader("Cache-Control", "no-cache");
            begin("text/event-stream; charset=utf-8");
        }
    }

    private void begin(String type) throws IOException {
        status = 200;
        setHeader("Content-Type", type);
        exchange.sendResponseHeaders(200, 0);
    }

    private static byte[] encode(JsonNode json) {
        try {
            return MAPPER.writeValueAsBytes(json);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }
}
