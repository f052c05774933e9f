package dev.gyre.model.generate;

import java.util.Locale;

/**
 * A generated text.
 *
 * @param cachedTokens how many tokens of the prompt were found in the cache
 * @param outputIds the tokens, with the one that ended the text
 * @param text what they say, without special tokens and stop strings; empty where the model has no tokenizer
 * @param stopString the stop string that ended the text; null where something else did
 * @param prefillSeconds from the call to the first token
 * @param decodeSeconds from the first token to the last
 */
public record Generation(
        int promptTokens,
        int cachedTokens,
        int[] outputIds,
        String text,
        FinishReason finishReason,
        String stopString,
        double prefillSeconds,
        double decodeSeconds) {
    /** Why a text ended. */
    public enum FinishReason {
        /** End of text, a stop token or a stop string. */
        STOP,
        /** The most new tokens, or the end of the context. */
        LENGTH,
        /** It was given up by whoever asked for it. */
        ABORT;

        /** The name in JSON. */
        public String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Tokens of the prompt by the second. */
    public double prefillRate() {
        return promptTokens / Math.max(prefillSeconds, 1e-9);
    }

    /** Tokens after the first by the second; 0 where there are none. */
    public double decodeRate() {
        return outputIds.length < 2 ? 0 : (outputIds.length - 1) / Math.max(decodeSeconds, 1e-9);
    }
}
