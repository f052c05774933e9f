package dev.gyre.attention.backend;

import dev.gyre.attention.WorkerPool;

import java.util.List;

/**
 * What an implementation may use.
 *
 * @param pool the threads of the engine
 * @param devices what {@code --device} or {@code --devices} named, each as {@link Device#is} takes it; empty leaves the
 *     choice to the implementation
 */
public record Resources(WorkerPool pool, List<String> devices) {
    /** Copies the list. */
    public Resources {
        devices = List.copyOf(devices);
    }

    /** The device of what runs on one; null leaves the choice to the implementation. */
    public String device() {
        return devices.isEmpty() ? null : devices.getFirst();
    }

    /** These threads, and whichever device the implementation chooses. */
    public static Resources of(WorkerPool pool) {
        return new Resources(pool, List.of());
    }
}
