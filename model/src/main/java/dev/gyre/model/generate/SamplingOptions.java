package dev.gyre.model.generate;

import dev.gyre.attention.EngineException;

import java.util.Map;

/**
 * How the next token is drawn. Biases and penalties are applied first, then temperature, top-k, top-p and min-p, in
 * this order.
 *
 * @param temperature 0 takes the most likely token (of equals, the lowest id)
 * @param topK only the k most likely; 0 for all
 * @param topP only the most likely whose probabilities sum to at least this; in (0, 1]
 * @param minP only those at least this fraction as likely as the most likely; in [0, 1]
 * @param repetitionPenalty divides positive logits of tokens seen in prompt or output, multiplies negative ones; 1 is
 *     none (arXiv 1909.05858)
 * @param frequencyPenalty subtracted for every time that a token was generated; OpenAI's
 * @param presencePenalty subtracted once for a token that was generated; OpenAI's
 * @param seed the same seed gives the same text
 * @param logitBias added to the logits of these tokens, from -100 (never) to 100 (always); OpenAI's
 */
public record SamplingOptions(
        double temperature,
        int topK,
        double topP,
        double minP,
        double repetitionPenalty,
        double frequencyPenalty,
        double presencePenalty,
        long seed,
        Map<Integer, Double> logitBias) {
    /** The most likely token, always. */
    public static final SamplingOptions GREEDY = new SamplingOptions(0, 0, 1, 0, 1, 0, 0, 0);

    /** Without biases. */
    public SamplingOptions(
            double temperature,
            int topK,
            double topP,
            double minP,
            double repetitionPenalty,
            double frequencyPenalty,
            double presencePenalty,
            long seed) {
        this(temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed, Map.of());
    }

    /** Checks the ranges. */
    public SamplingOptions {
        logitBias = Map.copyOf(logitBias);
        for (double bias : logitBias.values()) {
            require(Math.abs(bias) <= 100, "logit_bias must be from -100 to 100, not " + bias);
        }
        require(temperature >= 0 && temperature <= 100, "--temperature must be from 0 to 100, not " + temperature);
        require(topK >= 0, "--top-k must be at least 0, not " + topK);
        require(topP > 0 && topP <= 1, "--top-p must be above 0 and at most 1, not " + topP);
        require(minP >= 0 && minP <= 1, "--min-p must be from 0 to 1, not " + minP);
        require(
                repetitionPenalty > 0 && repetitionPenalty <= 100,
                "--repetition-penalty must be above 0 and at most 100, not " + repetitionPenalty);
        require(Math.abs(frequencyPenalty) <= 100, "--frequency-penalty must be from -100 to 100, not " + frequencyPenalty);
        require(Math.abs(presencePenalty) <= 100, "--presence-penalty must be from -100 to 100, not " + presencePenalty);
    }

    private static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw EngineException.usage(otherwise + ".");
        }
    }

    /** Whether tokens seen before change the logits. */
    boolean penalizes() {
        return repetitionPenalty != 1 || frequencyPenalty != 0 || presencePenalty != 0;
    }

    /** The same with another seed. */
    public SamplingOptions withSeed(long other) {
        return new SamplingOptions(temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty,
                other, logitBias);
    }
}
