package dev.gyre.model.engine;

/** A request that is not wrong, but comes at a bad time: the queue is full, or the engine is stopping. */
public final class RejectedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final boolean stopping;
    private final int retryAfterSeconds;

    private RejectedException(String sentence, boolean stopping, int retryAfterSeconds) {
        super(sentence);
        this.stopping = stopping;
        this.retryAfterSeconds = retryAfterSeconds;
    }

    static RejectedException full(int queued, int retryAfterSeconds) {
        return new RejectedException("the queue is full: " + queued + " requests wait already; try again later.", false,
                retryAfterSeconds);
    }

    static RejectedException isStopping() {
        return new RejectedException("the engine is stopping and takes no more requests.", true, 1);
    }

    /** Whether it will not get better: the engine is stopping. */
    public boolean stopping() {
        return stopping;
    }

    /** When trying again may help. */
    public int retryAfterSeconds() {
        return retryAfterSeconds;
    }
}
