package dev.gyre.model.engine;

/**
 * How an engine is, at a moment.
 *
 * @param running requests in the current steps
 * @param queued requests that wait
 * @param tokens tokens that the caches can hold
 * @param tokensInUse those of pages that running sequences hold
 * @param tokensKept those of pages that are kept for sequences to come
 * @param evictedPages pages of 64 tokens that were given up since the start
 * @param tokensPerSecond generated over the last seconds
 */
public record EngineStats(
        int running,
        int queued,
        int tokens,
        int tokensInUse,
        int tokensKept,
        long evictedPages,
        double tokensPerSecond) {}
