package dev.gyre.attention.vector;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;

import java.util.Arrays;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Exact top-k in two vector passes over a row.
 *
 * <p>A small sample of the row gives a bound that a little more than k scores should exceed. The first pass collects
 * those; the k-th largest of them is the threshold. The second pass writes the positions of all scores above the
 * threshold and of the first that equal it, in ascending order. Where the sample misled (fewer than k scores reach the
 * bound, or far more), a radix selection over the whole row finds the threshold instead; the result is the same.
 */
public final class VectorTopK implements TopK, WorkerPool.Task {
    private static final int SAMPLE = 512;

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
        /** How many candidates the last collection found; more than there is room for means too many. */
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
        float threshold = threshold(start, n, k, scratch[worker]);
        int count = write(start, n, k, threshold, selection.positions(), row * k);
        selection.finishRow(rows, row, count);
    }

    /** The k-th largest score; NaN counts as the smallest and is returned as negative infinity. */
    private float threshold(int start, int n, int k, Scratch work) {
        float bound = bound(start, n, k, work);
        int room = Math.min(n, 4 * k + SAMPLE);
        if (work.candidates.length < room) {
            work.candidates = new float[room];
        }
        int equal = collect(start, n, bound, room, work);
        if (work.count <= room && work.count >= k) {
            return radixSelect(work.candidates, 0, work.count, k, work.histogram);
        }
        if (work.count < k && work.count + equal >= k) {
            return bound; // the boundary falls among equals
        }
        return radixSelect(scores, start, n, k, work.histogram);
    }

    /** A score that about 1.5 k of the row should exceed, from every (n / 512)-th. */
    private float bound(int start, int n, int k, Scratch work) {
        int size = Math.min(n, SAMPLE);
        for (int i = 0; i < size; i++) {
            float score = scores[start + (int) ((long) i * n / size)];
            work.sample[i] = score == score ? score + 0f : Float.NEGATIVE_INFINITY;
        }
        Arrays.sort(work.sample, 0, size);
        int above = (int) Math.min(size - 1, (long) size * k / n * 3 / 2 + 8);
        return work.sample[size - 1 - above];
    }

    /** Collects the scores above the bound; returns how many equal it. */
    private int collect(int start, int n, float bound, int room, Scratch work) {
        float[] candidates = work.candidates;
        int count = 0;
        int equal = 0;
        int i = 0;
        for (; i <= n - Lanes.COUNT && count <= room - Lanes.COUNT; i += Lanes.COUNT) {
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, scores, start + i);
            VectorMask<Float> reached = v.compare(VectorOperators.GE, bound);
            if (reached.anyTrue()) {
                for (long bits = reached.toLong(); bits != 0; bits &= bits - 1) {
                    float score = scores[start + i + Long.numberOfTrailingZeros(bits)];
                    candidates[count] = score;
                    boolean above = score > bound;
                    count += above ? 1 : 0;
                    equal += above ? 0 : 1;
                }
            }
        }
        for (; i < n; i++) {
            float score = scores[start + i];
            if (score > bound && count < room) {
                candidates[count] = score;
            }
            count += score > bound ? 1 : 0;
            equal += score == bound ? 1 : 0;
        }
        work.count = count;
        return equal;
    }

    /** Writes the positions of the best k in ascending order. */
    private int write(int start, int n, int k, float threshold, int[] positions, int to) {
        int above = 0;
        int i = 0;
        for (; i <= n - Lanes.COUNT; i += Lanes.COUNT) {
            above += FloatVector.fromArray(Lanes.FLOATS, scores, start + i)
                    .compare(VectorOperators.GT, threshold)
                    .trueCount();
        }
        for (; i < n; i++) {
            above += scores[start + i] > threshold ? 1 : 0;
        }
        int equals = k - above; // how many of those that equal the threshold have a place
        int count = 0;
        for (i = 0; i < n && count < k; ) {
            if (i <= n - Lanes.COUNT) {
                FloatVector v = FloatVector.fromArray(Lanes.FLOATS, scores, start + i);
                VectorMask<Float> reached =
                        v.compare(equals > 0 ? VectorOperators.GE : VectorOperators.GT, threshold);
                for (long bits = reached.toLong(); bits != 0; bits &= bits - 1) {
                    int position = i + Long.numberOfTrailingZeros(bits);
                    boolean taken = scores[start + position] > threshold || equals-- > 0;
                    if (taken) {
                        positions[to + count++] = position;
                    }
                }
                i += Lanes.COUNT;
            } else {
                float score = scores[start + i];
                if (score > threshold || score == threshold && equals-- > 0) {
                    positions[to + count++] = i;
                }
                i++;
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
