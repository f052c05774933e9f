package dev.gyre.model.generate;

import dev.gyre.attention.EngineException;

import java.util.List;
import java.util.Set;

/**
 * When a text ends, and how its tokens are drawn.
 *
 * @param maxNewTokens the most tokens to generate, at least 1; the context may end the text sooner
 * @param stop strings that end the text and do not appear in it
 * @param stopTokens tokens that end the text, besides the model's own
 * @param ignoreEos whether the model's own end of text is just a token
 * @param shownSpecialTokens special tokens that appear in the text all the same; otherwise none does
 */
public record GenerationOptions(
        int maxNewTokens,
        SamplingOptions sampling,
        List<String> stop,
        Set<Integer> stopTokens,
        boolean ignoreEos,
        Set<Integer> shownSpecialTokens) {
    /** With no special tokens in the text. */
    public GenerationOptions(
            int maxNewTokens, SamplingOptions sampling, List<String> stop, Set<Integer> stopTokens, boolean ignoreEos) {
        this(maxNewTokens, sampling, stop, stopTokens, ignoreEos, Set.of());
    }

    /** Checks and copies. */
    public GenerationOptions {
        if (maxNewTokens < 1) {
            throw EngineException.usage("--max-new-tokens must be at least 1, not " + maxNewTokens + ".");
        }
        stop = List.copyOf(stop);
        stopTokens = Set.copyOf(stopTokens);
        shownSpecialTokens = Set.copyOf(shownSpecialTokens);
        if (stop.contains("")) {
            throw EngineException.usage("--stop must not be empty.");
        }
    }

    /** The most likely tokens until the model ends the text. */
    public static GenerationOptions greedy(int maxNewTokens) {
        return new GenerationOptions(maxNewTokens, SamplingOptions.GREEDY, List.of(), Set.of(), false);
    }

    /** The same with another seed. */
    public GenerationOptions withSeed(long seed) {
        return new GenerationOptions(
                maxNewTokens, sampling.withSeed(seed), stop, stopTokens, ignoreEos, shownSpecialTokens);
    }

    /** The same with these special tokens in the text. */
    public GenerationOptions withShownSpecialTokens(Set<Integer> ids) {
        return new GenerationOptions(maxNewTokens, sampling, stop, stopTokens, ignoreEos, ids);
    }
}
