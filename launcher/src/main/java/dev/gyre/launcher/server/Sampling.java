package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.attention.EngineException;
import dev.gyre.model.Model;
import dev.gyre.model.config.GenerationDefaults;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.SamplingOptions;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Supplier;

/**
 * How to draw tokens, as requests say it: OpenAI's fields and, beside them, SGLang's. What a request leaves open is as
 * the model's {@code generation_config.json} recommends, else as OpenAI has it.
 */
final class Sampling {
    private static final int MOST_STOPS = 64;
    private static final int MOST_STOP_LENGTH = 1000;

    private Sampling() {}

    /** The fields of {@code /v1/completions} and {@code /v1/chat/completions}. */
    static GenerationOptions openAi(Body body, Model model, int maxTokens, Set<Integer> shown) {
        body.refuse("min_tokens", "; answers end where the model ends them");
        GenerationDefaults defaults = model.defaults();
        double temperature = defaults.temperature() > 0 ? defaults.temperature() : 1;
        Fields fields = new Fields(temperature, defaults.topP(), defaults.topK(), "seed", 2);
        return options(body, model, fields, maxTokens, shown);
    }

    /** SGLang's {@code sampling_params}. */
    static GenerationOptions sglang(Body params, Engine engine, int promptLength) {
        for (String name : List.of("json_schema", "regex", "ebnf", "structural_tag")) {
            params.refuse(name, "; answers are not constrained");
        }
        params.refuse("min_new_tokens", "; use ignore_eos");
        Model model = engine.model();
        boolean all = !params.flag("skip_special_tokens", true);
        Set<Integer> shown = all && model.hasTokenizer() ? model.tokenizer().specialIds() : Set.of();
        int most = maxTokens(params, "max_new_tokens", 128, promptLength, engine);
        return options(params, model, new Fields(1, 1, 0, "sampling_seed", 100), most, shown);
    }

    /** What differs between the two. */
    private record Fields(double temperature, double topP, int topK, String seed, double penalty) {}

    private static GenerationOptions options(
            Body body, Model model, Fields fields, int maxTokens, Set<Integer> shown) {
        List<String> stop = body.texts("stop", MOST_STOPS);
        if (stop.stream().anyMatch(text -> text.isEmpty() || text.length() > MOST_STOP_LENGTH)) {
            throw ApiError.bad(body.path("stop"),
                    body.path("stop") + " must be strings of 1 to " + MOST_STOP_LENGTH + " characters.");
        }
        if (!stop.isEmpty() && !model.hasTokenizer()) {
            throw ApiError.bad(body.path("stop"), model.where() + " has no tokenizer; stop at token ids instead.");
        }
        Set<Integer> stopTokens = new HashSet<>();
        for (int id : body.ids("stop_token_ids", model.config().vocabulary())) {
            stopTokens.add(id);
        }
        int topK = body.integer("top_k", fields.topK(), -1, Integer.MAX_VALUE);
        SamplingOptions sampling = new SamplingOptions(
                body.number("temperature", fields.temperature(), 0, 100),
                Math.max(topK, 0),
                body.number("top_p", fields.topP(), Double.MIN_VALUE, 1),
                body.number("min_p", 0, 0, 1),
                body.number("repetition_penalty", 1, 0.01, 100),
                body.number("frequency_penalty", 0, -fields.penalty(), fields.penalty()),
                body.number("presence_penalty", 0, -fields.penalty(), fields.penalty()),
                body.whole(fields.seed(), ThreadLocalRandom.current().nextLong(), Long.MIN_VALUE, Long.MAX_VALUE),
                biases(body, model.config().vocabulary()));
        return new GenerationOptions(maxTokens, sampling, stop, stopTokens, body.flag("ignore_eos", false), shown);
    }

    private static Map<Integer, Double> biases(Body body, int vocabulary) {
        Body object = body.object("logit_bias");
        Map<Integer, Double> biases = new HashMap<>();
        for (Map.Entry<String, JsonNode> entry : object.node().properties()) {
            int id;
            try {
                id = Integer.parseInt(entry.getKey());
            } catch (NumberFormatException e) {
                id = -1;
            }
            if (id < 0 || id >= vocabulary) {
                throw ApiError.bad("logit_bias", "logit_bias must name token ids from 0 to " + (vocabulary - 1) + ".");
            }
            biases.put(id, object.number(entry.getKey(), 0, -100, 100));
        }
        return biases;
    }

    /**
     * The most new tokens of an answer.
     *
     * @param otherwise where the field is absent; 0 for as many as there is room for
     */
    static int maxTokens(Body body, String name, int otherwise, int promptLength, Engine engine) {
        int context = engine.model().contextLength();
        int room = engine.mostTokens() - promptLength + 1;
        if (promptLength > context || room < 1) {
            throw ApiError.bad(null, "context_length_exceeded", "the prompt has " + promptLength
                    + " tokens and the longest that is served has " + engine.mostTokens() + "; shorten it.");
        }
        if (!body.has(name)) {
            return otherwise == 0 ? room : Math.min(otherwise, room);
        }
        int most = body.integer(name, 0, 1, Integer.MAX_VALUE);
        if (most > room) {
            throw ApiError.bad(body.path(name), "context_length_exceeded", body.path(name) + " is " + most
                    + " and behind a prompt of " + promptLength + " tokens there is room for " + room
                    + "; ask for fewer.");
        }
        return most;
    }

    /** The options of one of several answers to the same prompt: with a seed of its own. */
    static GenerationOptions choice(GenerationOptions options, int number) {
        return options.withSeed(options.sampling().seed() + number);
    }

    /** What to say where the engine's own checks find something. */
    static <T> T checked(Supplier<T> reading) {
        try {
            return reading.get();
        } catch (EngineException e) {
            throw ApiError.of(e);
        }
    }
}
