package dev.gyre.attention.policy;

import dev.gyre.attention.EngineException;

/** Memory for the scores of a group of rows, as many as a budget holds. */
final class ScoreBuffer {
    private final long bytes;
    private float[] scores = new float[0];

    /** @param bytes the budget */
    ScoreBuffer(long bytes) {
        this.bytes = bytes;
    }

    /** The end of the group of rows that begins with {@code first}: at most {@code to}. */
    int end(int first, int to, int stride) {
        return Math.min(to - first, rows(stride)) + first;
    }

    private int rows(int stride) {
        long fitting = Math.min(bytes / Float.BYTES, Integer.MAX_VALUE - 8L) / stride;
        if (fitting == 0) {
            throw new EngineException("--score-buffer of " + bytes + " bytes is too small for one row of "
                    + stride + " tokens; give it at least " + (long) stride * Float.BYTES + " bytes.");
        }
        return (int) fitting;
    }

    /** Room for so many rows, of unspecified content. */
    float[] reserve(int rows, int stride) {
        int size = rows * stride;
        if (scores.length < size) {
            // a decode row grows by one token a step: leave room, so that not every step allocates
            scores = new float[(int) Math.min(Math.max(size, size + size / 4L), (long) rows(stride) * stride)];
        }
        return scores;
    }
}
