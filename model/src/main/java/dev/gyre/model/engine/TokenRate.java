package dev.gyre.model.engine;

/** Tokens per second over the last seconds. Written by one thread, read by any. */
final class TokenRate {
    private static final long WINDOW = 1_000_000_000L;

    private long start = System.nanoTime();
    private long last = start;
    private long tokens;
    private volatile double rate;
    private volatile long measured = start;

    void add(int count) {
        long now = System.nanoTime();
        if (now - last > WINDOW) { // a pause is no part of the rate
            start = now;
            tokens = 0;
        }
        last = now;
        tokens += count;
        if (now - start >= WINDOW) {
            rate = tokens * 1e9 / (now - start);
            measured = now;
            start = now;
            tokens = 0;
        }
    }

    /** What the last whole window saw; 0 where that was long ago. */
    double perSecond() {
        return System.nanoTime() - measured > 3 * WINDOW ? 0 : rate;
    }
}
