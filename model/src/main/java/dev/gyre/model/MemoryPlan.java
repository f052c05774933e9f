package dev.gyre.model;

import dev.gyre.model.ops.Memory;

import java.util.SortedMap;

/**
 * What a model takes of the memory that it runs in, and what fits there.
 *
 * @param memory where it runs: the machine's or a device's
 * @param usable bytes of it that the model may take
 * @param sequences texts at once
 * @param contextLength tokens of each
 * @param weights bytes by format
 * @param caches bytes of latents and index keys of all sequences
 * @param workspaces bytes of activations, logits, experts, index scores and angles; not of the JVM itself
 * @param longestContext the most tokens of each sequence with which it all fits, at most the model's; 0 where not even
 *     the weights do
 * @param layersThatFit how many of the layers, from the first on, fit at {@code contextLength}
 */
public record MemoryPlan(
        Memory memory,
        long usable,
        int sequences,
        int contextLength,
        SortedMap<String, Long> weights,
        long caches,
        long workspaces,
        int longestContext,
        int layersThatFit) {
    /** Bytes of all weights there. */
    public long weightBytes() {
        return weights.values().stream().mapToLong(Long::longValue).sum();
    }

    /** Bytes of everything. */
    public long total() {
        return weightBytes() + caches + workspaces;
    }

    /** Whether it fits. */
    public boolean fits() {
        return total() <= usable;
    }
}
