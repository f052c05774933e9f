package dev.gyre.model.ops;

/** Measures how operations use a device, from the first step of a set of caches to their end. */
public interface DeviceMeter {
    /** How often a step's kernels were started: once a step, more where one run has not room for all of it. */
    long runs();

    /** Nanoseconds that the host spent in these runs, until the last kernel had ended, and in fetching results. */
    long nanos();

    /** Does what the next step would have to do first to the caches, so that it can be timed by itself. */
    void settle();

    /**
     * Nanoseconds of a run in which no kernel finds a row, the median of {@code times}: of what a step takes, the part
     * that goes to starting its kernels and hearing that they have ended. After a step only.
     */
    long launchNanos(int times);
}
