package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.EngineException;
import dev.gyre.model.engine.RejectedException;
import dev.gyre.model.engine.StreamEvent;

import java.util.regex.Pattern;

/** An answer that is an error, in OpenAI's shape: {@code {"error":{"message","type","param","code"}}}. */
final class ApiError extends RuntimeException {
    private static final long serialVersionUID = 1L;
    /** An option as the command line spells it, at the start of a sentence. */
    private static final Pattern OPTION = Pattern.compile("^--([a-z-]+)");

    private final int status;
    private final String type;
    private final String param;
    private final String code;
    private final int retryAfter;

    private ApiError(int status, String type, String sentence, String param, String code, int retryAfter) {
        super(sentence, null, false, false);
        this.status = status;
        this.type = type;
        this.param = param;
        this.code = code;
        this.retryAfter = retryAfter;
    }

    /** What was asked for cannot be right. */
    static ApiError bad(String param, String sentence) {
        return new ApiError(400, "invalid_request_error", sentence, param, null, 0);
    }

    /** The same with OpenAI's code for it. */
    static ApiError bad(String param, String code, String sentence) {
        return new ApiError(400, "invalid_request_error", sentence, param, code, 0);
    }

    static ApiError of(int status, String code, String sentence) {
        return new ApiError(status, status < 500 ? "invalid_request_error" : "server_error", sentence, null, code, 0);
    }

    /** A mistake in a request that the engine found; it speaks of options, clients of fields. */
    static ApiError of(EngineException e) {
        String sentence = OPTION.matcher(e.getMessage()).replaceFirst(option -> option.group(1).replace('-', '_'));
        return bad(null, sentence);
    }

    static ApiError of(RejectedException e) {
        return e.stopping()
                ? new ApiError(503, "server_error", e.getMessage(), null, "stopping", e.retryAfterSeconds())
                : new ApiError(429, "rate_limit_error", e.getMessage(), null, "queue_full", e.retryAfterSeconds());
    }

    static ApiError of(StreamEvent.Failed failed) {
        return switch (failed.cause()) {
            case TIMEOUT -> of(504, "timeout", failed.sentence());
            case STOPPED -> of(503, "stopping", failed.sentence());
            case BROKEN -> of(500, null, failed.sentence());
        };
    }

    int status() {
        return status;
    }

    /** Seconds after which trying again may help; 0 where it does not. */
    int retryAfter() {
        return retryAfter;
    }

    ObjectNode body() {
        ObjectNode body = JsonNodeFactory.instance.objectNode();
        body.putObject("error").put("message", getMessage()).put("type", type).put("param", param).put("code", code);
        return body;
    }
}
