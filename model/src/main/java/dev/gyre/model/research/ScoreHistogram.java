package dev.gyre.model.research;

/**
 * How index scores are distributed: equal bins that span all of them, whose width doubles whenever a score falls
 * outside, so that none has to be kept. Selected tokens and the others are counted apart, and exact zeros, of which
 * relu makes many, once more by themselves.
 */
public final class ScoreHistogram {
    /** Bins; even, so that doubling merges them in pairs. */
    public static final int BINS = 64;

    private final long[] selected = new long[BINS];
    private final long[] others = new long[BINS];
    /** The lower edge of the first bin. */
    private double low;
    private double width;
    private long zeros;

    void add(float score, boolean isSelected) {
        if (!Float.isFinite(score)) {
            return;
        }
        zeros += score == 0 ? 1 : 0;
        if (width == 0) {
            width = Math.max(Math.abs(score), Float.MIN_NORMAL) * 0x1p-8;
            low = (Math.floor(score / width) - BINS / 2) * width;
        }
        while (score < low || score >= low + BINS * width) {
            widen(score < low);
        }
        (isSelected ? selected : others)[bin(score)]++;
    }

    private int bin(float score) {
        return (int) Math.min(BINS - 1, (score - low) / width);
    }

    /** Doubles the bins, with the old ones in the upper or the lower half of the new range. */
    private void widen(boolean down) {
        merge(selected, down);
        merge(others, down);
        low -= down ? BINS * width : 0;
        width *= 2;
    }

    private static void merge(long[] counts, boolean toUpper) {
        long[] merged = new long[BINS];
        for (int bin = 0; bin < BINS; bin++) {
            merged[bin / 2 + (toUpper ? BINS / 2 : 0)] += counts[bin];
        }
        System.arraycopy(merged, 0, counts, 0, BINS);
    }

    /** Lower edges of the bins, and the upper one of the last; all 0 where nothing was counted. */
    public double[] edges() {
        double[] edges = new double[BINS + 1];
        for (int bin = 0; bin <= BINS; bin++) {
            edges[bin] = low + bin * width;
        }
        return edges;
    }

    /** Scores of selected tokens, by bin. */
    public long[] selected() {
        return selected.clone();
    }

    /** Scores of the others, by bin. */
    public long[] others() {
        return others.clone();
    }

    /** How many scores were exactly zero; they are in their bin too. */
    public long zeros() {
        return zeros;
    }
}
