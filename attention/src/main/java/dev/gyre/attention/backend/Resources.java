package dev.gyre.attention.backend;

import dev.gyre.attention.WorkerPool;

/**
 * What an implementation may use.
 *
 * @param pool the threads of the engine
 * @param device the {@link Device#id} that {@code --device} named; null leaves the choice to the implementation
 */
public record Resources(WorkerPool pool, String device) {
    /** These threads, and whichever device the implementation chooses. */
    public static Resources of(WorkerPool pool) {
        return new Resources(pool, null);
    }
}
