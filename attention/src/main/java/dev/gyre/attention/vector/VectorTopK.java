package dev.gyre.attention.vector;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.simd.Lanes;

import java.util.Arrays;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Exact top-k, usually in one vector pass over a row.
 *
 * <p>A small sample of the row gives a bound that a little more than k scores should exceed. The pass collects those
 * with their positions; the k-th largest of them is the threshold, and the selection is among them. Where the boundary
 * falls among scores that equal the bound (the exact zeros of relu), or where the sample misled, a second pass writes
 * the positions of all scores above the threshold and of the first that equal it; a misled sample is mended by a radix
 * selection over the whole row. The result is the same whichever way it goes.
 */
public final class VectorTopK implements TopK, WorkerPool.Task {
    private static final int SAMPLE = 1024;

    private final WorkerPool pool;
    private final Scratch[] scratch;
    private float[] scores;
    private int stride;
    private QueryRows rows;
    private int from;
    private Selection selection;

    /** Memory of one worker. */
    private static final class Scratch {
        final float[] sample = new float[SAMPLE];
        final int[] histogram = new int[1 << 11];
        float[] candidates = new float[0];
        int[] places = new int[0];
        /** How many candidates the last collection found. */
        int count;
    }

    /** @param pool the threads that share the rows */
    public VectorTopK(WorkerPool pool) {
        this.pool = pool;
        scratch = new Scratch[pool.threads()];
        Arrays.setAll(scratch, i -> new Scratch());
    }

    @Override
    public void select(float[] scores, int stride, QueryRows rows, int from, int to, Selection selection) {
        this.scores = scores;
        this.stride = stride;
        this.rows = rows;
        this.from = from;
        this.selection = selection;
        pool.run(to - from, this);
    }

    @Override
    public void run(int index, int worker) {
        int row = from + index;
        int n = rows.visible(row);
        int k = selection.k();
        if (n <= k) {
            selection.selectAll(rows, row);
            return;
        }
        int start = index * stride;
        int count = select(start, n, k, scratch[worker], selection.positions(), row * k);
        selection.finishRow(rows, row, count);
    }

    /** Writes the positions of the best k of {@code scores[start, start + n)}; returns how many. */
    private int select(int start, int n, int k, Scratch work, int[] positions, int to) {
        float bound = bound(start, n, k, work);
        int room = Math.min(n, 4 * k + SAMPLE) + Lanes.COUNT;
        if (work.candidates.length < room) {
            // a row grows by a token a step: room for all that it can come to, so that not every step allocates
            work.candidates = new float[4 * k + SAMPLE + Lanes.COUNT];
            work.places = new int[work.candidates.length];
        }
        collect(start, n, bound, room, work);
        if (work.count >= k && work.count <= room - Lanes.COUNT) {
            float threshold = radixSelect(work.candidates, 0, work.count, k, work.histogram);
            return writeCandidates(work, k, threshold, positions, to);
        }
        boolean amongEquals = work.count < k && work.count + countEqual(start, n, bound) >= k;
        float threshold = amongEquals ? bound : radixSelect(scores, start, n, k, work.histogram);
        return write(start, n, k, threshold, positions, to);
    }

    /** A score that about 1.5 k of the row should exceed, from 1024 evenly spread. */
    private float bound(int start, int n, int k, Scratch work) {
        int size = Math.min(n, SAMPLE);
        for (int i = 0; i < size; i++) {
            float score = scores[start + (int) ((long) i * n / size)];
            work.sample[i] = score == score ? score + 0f : Float.NEGATIVE_INFINITY;
        }
        // about three standard deviations more than k's share of the sample: few rows have fewer than k above it
        double share = (double) size * k / n;
        int above = (int) Math.min(size, share + 3 * Math.sqrt(share) + 2);
        return radixSelect(work.sample, 0, size, above, work.histogram);
    }

    /**
     * Collects the scores above the bound, ascending by position. Stops where there is no
     * room for another vector: then {@code work.count} says so.
     */
    private void collect(int start, int n, float bound, int room, Scratch work) {
        float[] candidates = work.candidates;
        int[] places = work.places;
        FloatVector bounds = FloatVector.broadcast(Lanes.FLOATS, bound);
        int count = 0;
        int i = 0;
        for (; i <= n - Lanes.COUNT && count <= room - Lanes.COUNT; i += Lanes.COUNT) {
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, scores, start + i);
            long bits = v.compare(VectorOperators.GT, bounds).toLong();
            for (; bits != 0; bits &= bits - 1) {
                int position = i + Long.numberOfTrailingZeros(bits);
                candidates[count] = scores[start + position];
                places[count++] = position;
            }
        }
        for (; i < n && count < room; i++) {
            float score = scores[start + i];
            if (score > bound) {
                candidates[count] = score;
                places[count++] = i;
            }
        }
        work.count = i < n ? room : count;
    }

    /** How many scores equal the bound. */
    private int countEqual(int start, int n, float bound) {
        FloatVector bounds = FloatVector.broadcast(Lanes.FLOATS, bound);
        int equal = 0;
        int i = 0;
        for (; i <= n - Lanes.COUNT; i += Lanes.COUNT) {
            equal += FloatVector.fromArray(Lanes.FLOATS, scores, start + i)
                    .compare(VectorOperators.EQ, bounds)
                    .trueCount();
        }
        for (; i < n; i++) {
            equal += scores[start + i] == bound ? 1 : 0;
        }
        return equal;
    }

    /** The best k of the candidates. */
    private static int writeCandidates(Scratch work, int k, float threshold, int[] positions, int to) {
        int above = 0;
        for (int i = 0; i < work.count; i++) {
            above += work.candidates[i] > threshold ? 1 : 0;
        }
        int equals = k - above; // how many of those that equal the threshold have a place
        int count = 0;
        for (int i = 0; count < k; i++) {
            float score = work.candidates[i];
            if (score > threshold || score == threshold && equals-- > 0) {
                positions[to + count++] = work.places[i];
            }
        }
        return count;
    }

    /** The best k of the whole row. */
    private int write(int start, int n, int k, float threshold, int[] positions, int to) {
        FloatVector thresholds = FloatVector.broadcast(Lanes.FLOATS, threshold);
        int above = 0;
        int i = 0;
        for (; i <= n - Lanes.COUNT; i += Lanes.COUNT) {
            above += FloatVector.fromArray(Lanes.FLOATS, scores, start + i)
                    .compare(VectorOperators.GT, thresholds)
                    .trueCount();
        }
        for (; i < n; i++) {
            above += scores[start + i] > threshold ? 1 : 0;
        }
        int equals = k - above;
        int count = 0;
        for (i = 0; i <= n - Lanes.COUNT && count < k; i += Lanes.COUNT) {
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, scores, start + i);
            // once the equals have their places, only what is above counts, and most vectors have none
            long bits = equals > 0
                    ? v.compare(VectorOperators.GE, thresholds).toLong()
                    : v.compare(VectorOperators.GT, thresholds).toLong();
            for (; bits != 0; bits &= bits - 1) {
                int position = i + Long.numberOfTrailingZeros(bits);
                if (scores[start + position] > threshold || equals-- > 0) {
                    positions[to + count++] = position;
                }
            }
        }
        for (; i < n && count < k; i++) {
            float score = scores[start + i];
            if (score > threshold || score == threshold && equals-- > 0) {
                positions[to + count++] = i;
            }
        }
        return count < k ? fillWithNaN(start, n, k, count, positions, to) : count;
    }

    /** Only where a row has fewer than k numbers: NaN scores come last, the lower positions first. */
    private int fillWithNaN(int start, int n, int k, int count, int[] positions, int to) {
        for (int i = 0; i < n && count < k; i++) {
            if (Float.isNaN(scores[start + i])) {
                positions[to + count++] = i;
            }
        }
        Arrays.sort(positions, to, to + count);
        return count;
    }

    /** The k-th largest of {@code values[at, at + n)} by a radix search over the bits of their order. */
    private static float radixSelect(float[] values, int at, int n, int k, int[] histogram) {
        int prefix = 0;
        int wanted = k;
        for (int shift = 21; shift >= -1; shift -= 11) { // 11, 11 and 10 bits
            int low = Math.max(shift, 0);
            int bins = shift < 0 ? 1 << 10 : 1 << 11;
            int high = low + (shift < 0 ? 10 : 11);
            Arrays.fill(histogram, 0, bins, 0);
            for (int i = at; i < at + n; i++) {
                int key = key(values[i]);
                if (high == 32 || key >>> high == prefix >>> high) {
                    histogram[key >>> low & bins - 1]++;
                }
            }
            int bin = bins - 1;
            while (histogram[bin] < wanted) {
                wanted -= histogram[bin--];
            }
            prefix |= bin << low;
        }
        int bits = prefix < 0 ? prefix ^ 0x8000_0000 : ~prefix;
        return Float.intBitsToFloat(bits);
    }

    /** An unsigned int that is greater for a greater score; both zeros are one, NaN is negative infinity. */
    private static int key(float score) {
        int bits = Float.floatToRawIntBits(score == score ? score + 0f : Float.NEGATIVE_INFINITY);
        return bits ^ (bits >> 31 | 0x8000_0000);
    }
}
