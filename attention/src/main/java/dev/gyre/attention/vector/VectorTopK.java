package dev.gyre.attention.vector;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.simd.Lanes;

import java.util.Arrays;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Exact top-k, usually in one vector pass over a row.
 *
 * <p>A small sample of the row gives a bound that a little more than k scores should exceed. The pass collects those
 * with their positions; the k-th largest of them is the threshold, and the selection is among them. Where the boundary
 * falls among scores that equal the bound (the exact zeros of relu), or where the sample misled, a second pass writes
 * the positions of all scores above the threshold and of the first that equal it; a misled sample is mended by a
 * selection from the whole row. The result is the same whichever way it goes.
 */
public final class VectorTopK implements TopK, WorkerPool.Task {
    private static final int SAMPLE = 1024;
    private static final IntVector FIRST_POSITIONS = IntVector.zero(Lanes.INTS).addIndex(1);
    /** Scores of a long row that one thread looks through, where there are more threads than rows. */
    private static final int PART = 1 << 15;

    private final WorkerPool pool;
    private final Scratch[] scratch;
    private float[] scores;
    private int stride;
    private QueryRows rows;
    private int from;
    private Selection selection;
    private final Parts parts = new Parts();
    /** Whether all threads work on one row. */
    private boolean together;

    /** Memory of one worker. */
    private static final class Scratch {
        final float[] sample = new float[SAMPLE];
        final KthLargest kthLargest = new KthLargest();
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
        together = to - from < pool.threads();
        if (together) {
            for (int i = 0; i < to - from; i++) {
                run(i, 0);
            }
        } else {
            pool.run(to - from, this);
        }
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
        int pieces = together ? Math.ceilDiv(n, PART) : 1;
        if (work.candidates.length < pieces * room) {
            // a row grows by a token a step: room for all that it can come to, so that not every step allocates
            work.candidates = new float[(pieces + 1) * (4 * k + SAMPLE + Lanes.COUNT)];
            work.places = new int[work.candidates.length];
        }
        if (pieces > 1) {
            parts.collect(start, n, bound, room, work, pieces);
        } else {
            work.count = collect(start, 0, n, bound, work, 0, room);
        }
        if (work.count >= k && work.count <= room - Lanes.COUNT) {
            float threshold = work.kthLargest.of(work.candidates, 0, work.count, k);
            return writeCandidates(work, k, threshold, positions, to);
        }
        boolean amongEquals = work.count < k && work.count + countEqual(start, n, bound) >= k;
        float threshold = amongEquals ? bound : work.kthLargest.of(scores, start, n, k);
        return write(start, n, k, threshold, positions, to);
    }

    /** A score that about 1.5 k of the row should exceed, from 1024 evenly spread. */
    private float bound(int start, int n, int k, Scratch work) {
        int size = Math.min(n, SAMPLE);
        long step = ((long) n << 20) / size; // in fixed point: a division for each would take as long as the rest
        for (int i = 0; i < size; i++) {
            work.sample[i] = scores[start + (int) (i * step >> 20)];
        }
        // about three standard deviations more than k's share of the sample: few rows have fewer than k above it
        double share = (double) size * k / n;
        int above = (int) Math.min(size, share + 3 * Math.sqrt(share) + 2);
        return work.kthLargest.of(work.sample, 0, size, above);
    }

    /** A long row, looked through by all threads; what they find is put together in the order of positions. */
    private final class Parts implements WorkerPool.Task {
        private int start;
        private int n;
        private float bound;
        private int room;
        private Scratch work;
        private int[] counts = new int[0];

        void collect(int start, int n, float bound, int room, Scratch work, int pieces) {
            this.start = start;
            this.n = n;
            this.bound = bound;
            this.room = room;
            this.work = work;
            if (counts.length < pieces) {
                counts = new int[pieces];
            }
            pool.run(pieces, this);
            int count = counts[0];
            for (int piece = 1; piece < pieces; piece++) {
                int more = Math.min(counts[piece], room - Math.min(count, room));
                System.arraycopy(work.candidates, piece * room, work.candidates, Math.min(count, room), more);
                System.arraycopy(work.places, piece * room, work.places, Math.min(count, room), more);
                count += counts[piece];
            }
            work.count = Math.min(count, room);
        }

        @Override
        public void run(int piece, int worker) {
            int from = piece * PART;
            counts[piece] = VectorTopK.this.collect(
                    start, from, Math.min(n, from + PART), bound, work, piece * room, room);
        }
    }

    /**
     * Collects the scores above the bound of the positions [from, to), ascending, at {@code candidates[at..]}; returns
     * how many. Where there is no room for another vector it stops and returns {@code room}.
     */
    private int collect(int start, int from, int to, float bound, Scratch work, int at, int room) {
        float[] candidates = work.candidates;
        int[] places = work.places;
        FloatVector bounds = FloatVector.broadcast(Lanes.FLOATS, bound);
        int count = 0;
        int i = from;
        IntVector positions = FIRST_POSITIONS.add(from);
        for (; i <= to - Lanes.COUNT && count <= room - Lanes.COUNT; i += Lanes.COUNT) {
            // without a jump for what is found, which a processor guesses wrong too often
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, scores, start + i);
            VectorMask<Float> found = v.compare(VectorOperators.GT, bounds);
            v.compress(found).intoArray(candidates, at + count);
            positions.compress(found.cast(Lanes.INTS)).intoArray(places, at + count);
            count += found.trueCount();
            positions = positions.add(Lanes.COUNT);
        }
        for (; i < to && count < room; i++) {
            float score = scores[start + i];
            if (score > bound) {
                candidates[at + count] = score;
                places[at + count++] = i;
            }
        }
        return i < to ? room : count;
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
        FloatVector thresholds = FloatVector.broadcast(Lanes.FLOATS, threshold);
        int above = 0;
        int i = 0;
        for (; i <= work.count - Lanes.COUNT; i += Lanes.COUNT) {
            above += FloatVector.fromArray(Lanes.FLOATS, work.candidates, i)
                    .compare(VectorOperators.GT, thresholds)
                    .trueCount();
        }
        for (; i < work.count; i++) {
            above += work.candidates[i] > threshold ? 1 : 0;
        }
        int equals = k - above; // how many of those that equal the threshold have a place
        int count = 0;
        // without a jump for each candidate, which a processor guesses wrong too often; a place too many is overwritten
        int[] places = work.places;
        for (i = 0; i < work.count; i++) {
            float score = work.candidates[i];
            int same = score == threshold && equals > 0 ? 1 : 0;
            equals -= same;
            places[count] = places[i];
            count += score > threshold ? 1 : same;
        }
        System.arraycopy(places, 0, positions, to, k);
        return k;
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
}
