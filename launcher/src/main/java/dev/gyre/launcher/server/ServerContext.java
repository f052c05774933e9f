package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.GenerationRequest;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.tokenizer.Tokenizer;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What all endpoints share: the engine, the options, and the requests that are under way, by name. */
final class ServerContext {
    /** The most answers of one request. */
    static final int MOST_CHOICES = 128;
    private static final int MOST_NAME = 200;

    private final Engine engine;
    private final ServerOptions options;
    private final Map<String, Choices> underWay = new ConcurrentHashMap<>();

    ServerContext(Engine engine, ServerOptions options) {
        this.engine = engine;
        this.options = options;
    }

    Engine engine() {
        return engine;
    }

    ServerOptions options() {
        return options;
    }

    /** The model's tokenizer, for requests that need one. */
    Tokenizer tokenizer() {
        if (!engine.model().hasTokenizer()) {
            throw ApiError.bad(null, "the model that is served here has no tokenizer; give token ids, and ask for ids.");
        }
        return engine.model().tokenizer();
    }

    void checkModel(Body body) {
        String name = body.text("model", options.modelName());
        if (!name.equals(options.modelName())) {
            throw ApiError.of(404, "model_not_found",
                    "the model '" + name + "' is not served here; '" + options.modelName() + "' is.");
        }
    }

    void checkChoices(int count) {
        if (count > MOST_CHOICES) {
            throw ApiError.bad(
                    "n", "prompts times n are " + count + "; at most " + MOST_CHOICES + " can be asked for.");
        }
    }

    GenerationRequest request(int[] prompt, GenerationOptions generation, int topLogprobs) {
        return new GenerationRequest(prompt, generation, topLogprobs, options.requestTimeout(), false);
    }

    /** The name that the client gave to its request in {@code rid}, else a new one. */
    String requestId(Body body, String prefix) {
        String id = body.text("rid", null);
        if (id != null && (id.isEmpty() || id.length() > MOST_NAME)) {
            throw ApiError.bad("rid", "rid must have 1 to " + MOST_NAME + " characters.");
        }
        return id == null ? Answers.id(prefix) : id;
    }

    /** Begins the generations of a request, which {@code /abort_request} can then name. */
    Choices begin(Call call, String id, List<GenerationRequest> requests) {
        call.note("rid", id);
        Choices choices = new Choices(engine, requests, () -> underWay.remove(id));
        if (underWay.putIfAbsent(id, choices) != null) {
            choices.cancel();
            throw ApiError.bad("rid", "a request with the rid '" + id + "' is under way already.");
        }
        return choices;
    }

    /** Whether no answer is being generated or sent. */
    boolean isIdle() {
        return underWay.isEmpty();
    }

    /** Gives requests up: the one of this name, or all of them where it is null. */
    void abort(String id) {
        underWay.forEach((name, choices) -> {
            if (id == null || id.equals(name)) {
                choices.cancel();
            }
        });
    }

    void noteUsage(Call call, ObjectNode usage) {
        noteUsage(call, usage.get("prompt_tokens").intValue(), usage.get("completion_tokens").intValue());
    }

    void noteUsage(Call call, int promptTokens, int completionTokens) {
        call.note("prompt_tokens", promptTokens);
        call.note("completion_tokens", completionTokens);
    }
}
