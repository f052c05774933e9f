package dev.gyre.attention.policy;

import dev.gyre.attention.EngineException;

import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Which layers run their indexer and which attend to what the last such layer selected (IndexCache, arXiv 2603.12201).
 *
 * @param pattern a letter for each layer: F (full) runs the indexer, S (shared) does not; the first is an F
 */
public record IndexSharing(String pattern) {
    /** What index_skip_topk_offset is where a configuration does not say: full are layers 0 and 1, then every n-th. */
    public static final int OFFSET = 2;

    /** Checks the letters. */
    public IndexSharing {
        if (!pattern.matches("F[FS]*")) {
            throw new IllegalArgumentException("not a pattern of full and shared layers: " + pattern);
        }
    }

    /** Every layer runs its indexer. */
    public static IndexSharing none(int layers) {
        return new IndexSharing("F".repeat(layers));
    }

    /**
     * Layer n is shared where {@code max(n - offset + 1, 0) % freq != 0}: SGLang's and vLLM's reading of
     * index_topk_freq and index_skip_topk_offset, by which GLM-5.2's 4 and 3 leave layers 0, 1, 2, 6, 10, ... full.
     *
     * @param freq at least 1
     * @param offset at least 1
     */
    public static IndexSharing every(int freq, int offset, int layers) {
        return new IndexSharing(IntStream.range(0, layers)
                .mapToObj(layer -> Math.max(layer - offset + 1, 0) % freq == 0 ? "F" : "S")
                .collect(Collectors.joining()));
    }

    /**
     * The same of some layers alone, which follow one another.
     *
     * @throws EngineException where the first attends to what a layer before it selects
     */
    public IndexSharing slice(int first, int layers) {
        if (!runs(first)) {
            int full = pattern.lastIndexOf('F', first);
            throw new EngineException("--layers cannot begin with layer " + first
                    + ", which attends to what the indexer of layer " + full + " selects; begin with " + full + ".");
        }
        return new IndexSharing(pattern.substring(first, first + layers));
    }

    /** Whether a layer runs its indexer. */
    public boolean runs(int layer) {
        return pattern.charAt(layer) == 'F';
    }

    /** The share of the layers that run their indexer. */
    double share() {
        return (double) pattern.chars().filter(letter -> letter == 'F').count() / pattern.length();
    }
}
