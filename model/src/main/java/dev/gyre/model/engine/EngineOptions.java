package dev.gyre.model.engine;

import dev.gyre.attention.EngineException;
import dev.gyre.model.ModelOptions;

/**
 * How to open an engine. Start from {@link #defaults()} and change what differs:
 *
 * <pre>{@code EngineOptions.defaults().withModel(ModelOptions.defaults().withThreads(4)).withMaxRunning(16)}</pre>
 *
 * @param model the model and how it runs
 * @param maxRunning the most sequences of a decode step
 * @param maxQueued the most requests that wait; those beyond it are refused
 * @param maxTotalTokens tokens that the caches hold, over all sequences; 0 for four contexts (or as many as
 *     sequences run), or less where the caches would take more than a quarter of the memory
 * @param prefixCache whether what was computed stays for requests that begin alike
 */
public record EngineOptions(
        ModelOptions model, int maxRunning, int maxQueued, int maxTotalTokens, boolean prefixCache) {
    /** Checks the ranges. */
    public EngineOptions {
        least("--max-running-requests", maxRunning, 1);
        least("--max-queued-requests", maxQueued, 1);
        least("--max-total-tokens", maxTotalTokens, 0);
    }

    private static void least(String option, int value, int least) {
        if (value < least) {
            throw EngineException.usage(option + " must be at least " + least + ", not " + value + ".");
        }
    }

    /** The embedded model, 64 sequences at once, 1024 waiting, with prefix cache. */
    public static EngineOptions defaults() {
        return new EngineOptions(ModelOptions.defaults(), 64, 1024, 0, true);
    }

    /** The same with another model or other options of it. */
    public EngineOptions withModel(ModelOptions options) {
        return new EngineOptions(options, maxRunning, maxQueued, maxTotalTokens, prefixCache);
    }

    /** The same with another number of sequences at once. */
    public EngineOptions withMaxRunning(int sequences) {
        return new EngineOptions(model, sequences, maxQueued, maxTotalTokens, prefixCache);
    }

    /** The same with another number of requests that may wait. */
    public EngineOptions withMaxQueued(int requests) {
        return new EngineOptions(model, maxRunning, requests, maxTotalTokens, prefixCache);
    }

    /** The same with caches of another size. */
    public EngineOptions withMaxTotalTokens(int tokens) {
        return new EngineOptions(model, maxRunning, maxQueued, tokens, prefixCache);
    }

    /** The same with or without prefix cache. */
    public EngineOptions withPrefixCache(boolean on) {
        return new EngineOptions(model, maxRunning, maxQueued, maxTotalTokens, on);
    }
}
