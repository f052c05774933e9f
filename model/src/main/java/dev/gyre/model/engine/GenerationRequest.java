package dev.gyre.model.engine;

import dev.gyre.attention.EngineException;
import dev.gyre.model.generate.GenerationOptions;

import java.time.Duration;

/**
 * What an {@link Engine} is asked for.
 *
 * @param prompt its tokens, BOS included where the model wants one
 * @param topLogprobs how many of the likeliest tokens are reported at every step; 0 for the drawn one alone, -1 for no
 *     probabilities at all
 * @param timeout after this the request is given up, wherever it is; null for never
 * @param selections whether {@link TokenStream#selections()} is wanted
 */
public record GenerationRequest(
        int[] prompt, GenerationOptions options, int topLogprobs, Duration timeout, boolean selections) {
    /** The most likely tokens that can be asked for. */
    public static final int MOST_LOGPROBS = 100;

    /** Checks the ranges. */
    public GenerationRequest {
        if (prompt.length == 0) {
            throw EngineException.usage("the prompt is empty; give at least one token.");
        }
        if (topLogprobs < -1 || topLogprobs > MOST_LOGPROBS) {
            throw EngineException.usage(
                    "top_logprobs must be from 0 to " + MOST_LOGPROBS + ", not " + topLogprobs + ".");
        }
        prompt = prompt.clone();
    }

    /** Without probabilities, deadline and selections. */
    public static GenerationRequest of(int[] prompt, GenerationOptions options) {
        return new GenerationRequest(prompt, options, -1, null, false);
    }
}
