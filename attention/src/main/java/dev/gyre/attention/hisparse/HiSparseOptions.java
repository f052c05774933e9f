package dev.gyre.attention.hisparse;

import dev.gyre.attention.EngineException;

import java.nio.file.Path;

/**
 * How latents are split into a store and hot buffers.
 *
 * @param hotTokens how many tokens' latents each sequence keeps hot in every layer (SGLang's device_buffer_size)
 * @param directory where the store is a file, without a name while it is in use; null for memory
 */
public record HiSparseOptions(int hotTokens, Path directory) {
    /** Checks the range. */
    public HiSparseOptions {
        if (hotTokens < 1) {
            throw EngineException.usage("--hisparse-hot-tokens must be at least 1, not " + hotTokens + ".");
        }
    }

    /** A store in memory. */
    public static HiSparseOptions of(int hotTokens) {
        return new HiSparseOptions(hotTokens, null);
    }

    /** The same with a store in a file. */
    public HiSparseOptions withDirectory(Path folder) {
        return new HiSparseOptions(hotTokens, folder);
    }
}
