package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Exact top-k by a search for the k-th largest score, two bits of it a pass, then one pass that writes positions in
 * ascending order. No atomics and no sorting, so the result is deterministic. One block a row.
 */
public final class TopKKernels {
    /** The most threads of a block. */
    public static final int MOST_BLOCK = 1024;
    /** Bytes of local memory. */
    public static final int LOCAL_BYTES = 3 * MOST_BLOCK * Integer.BYTES;

    private TopKKernels() {}

    /**
     * A signed int that is greater for a greater score: both zeros are one, NaN is below every number.
     *
     * @param bits of a float
     */
    static int order(int bits) {
        int magnitude = bits & 0x7fffffff;
        int ordered = bits < 0 ? -magnitude : magnitude;
        return magnitude > 0x7f800000 ? -0x7fffffff : ordered;
    }

    /** A score of the row at {@code base}, ordered; below all scores where the row has ended. */
    private static int load(IntArray scores, int base, int i, int n) {
        int bits = scores.get(base + Math.min(i, n - 1));
        return i < n ? order(bits) : -0x7fffffff - 1;
    }

    /**
     * Selects the best k of what each row sees: higher score first, of equal scores the lower position.
     *
     * @param meta rows, k, row stride of the scores, row stride of the page tables
     * @param visible {@code [rows]}: how many tokens a row sees
     * @param tables {@code [rows, stride]}: pages of a row's sequence
     * @param scores bits of f32 scores
     * @param positions {@code [rows, k]}: ascending, padded with -1
     * @param slots {@code [rows, k]}: cache slots of the positions, padded with -1
     */
    public static void kTopK(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray tables,
            IntArray scores,
            IntArray positions,
            IntArray slots) {
        int[] local1 = context.allocateIntLocalArray(1024);
        int[] local2 = context.allocateIntLocalArray(1024);
        int[] local3 = context.allocateIntLocalArray(1024);
        int row = context.groupIdx;
        int thread = context.localIdx;
        int block = context.localGroupSizeX;
        int n = row < meta.get(0) ? visible.get(row) : 0;
        int k = meta.get(1);
        int base = row * meta.get(2);
        int out = row * k;
        int pages = row * meta.get(3);
        // the k-th largest lies in [lowest, lowest + 4 step); a row of up to k scores leaves it below all of them
        int lowest = -0x7fffffff - 1;
        int step = n > k ? 0x40000000 : 0;
        while (step > 0) {
            int t1 = lowest + step;
            int t2 = t1 + step;
            int t3 = t2 + step;
            int c1 = 0;
            int c2 = 0;
            int c3 = 0;
            // eight loads in flight: a thread that waits for each in turn spends its time waiting
            for (int i = thread; i < n; i += 8 * block) {
                int v0 = load(scores, base, i, n);
                int v1 = load(scores, base, i + block, n);
                int v2 = load(scores, base, i + 2 * block, n);
                int v3 = load(scores, base, i + 3 * block, n);
                int v4 = load(scores, base, i + 4 * block, n);
                int v5 = load(scores, base, i + 5 * block, n);
                int v6 = load(scores, base, i + 6 * block, n);
                int v7 = load(scores, base, i + 7 * block, n);
                c1 += (v0 >= t1 ? 1 : 0) + (v1 >= t1 ? 1 : 0) + (v2 >= t1 ? 1 : 0) + (v3 >= t1 ? 1 : 0)
                        + (v4 >= t1 ? 1 : 0) + (v5 >= t1 ? 1 : 0) + (v6 >= t1 ? 1 : 0) + (v7 >= t1 ? 1 : 0);
                c2 += (v0 >= t2 ? 1 : 0) + (v1 >= t2 ? 1 : 0) + (v2 >= t2 ? 1 : 0) + (v3 >= t2 ? 1 : 0)
                        + (v4 >= t2 ? 1 : 0) + (v5 >= t2 ? 1 : 0) + (v6 >= t2 ? 1 : 0) + (v7 >= t2 ? 1 : 0);
                c3 += (v0 >= t3 ? 1 : 0) + (v1 >= t3 ? 1 : 0) + (v2 >= t3 ? 1 : 0) + (v3 >= t3 ? 1 : 0)
                        + (v4 >= t3 ? 1 : 0) + (v5 >= t3 ? 1 : 0) + (v6 >= t3 ? 1 : 0) + (v7 >= t3 ? 1 : 0);
            }
            local1[thread] = c1;
            local2[thread] = c2;
            local3[thread] = c3;
            context.localBarrier();
            for (int half = block / 2; half > 0; half = half / 2) {
                if (thread < half) {
                    local1[thread] += local1[thread + half];
                    local2[thread] += local2[thread + half];
                    local3[thread] += local3[thread + half];
                }
                context.localBarrier();
            }
            int n1 = local1[0];
            int n2 = local2[0];
            int n3 = local3[0];
            context.localBarrier();
            lowest = n3 >= k ? t3 : n2 >= k ? t2 : n1 >= k ? t1 : lowest;
            // where exactly k are left there is no need to know the k-th itself
            step = n1 == k ? 0 : step / 4;
            step = n2 == k ? 0 : step;
            step = n3 == k ? 0 : step;
        }
        // every thread looks through a stretch of the row of its own
        int stretch = (n + block - 1) / block;
        int from = Math.min(n, thread * stretch);
        int to = Math.min(n, from + stretch);
        int above = 0;
        int equal = 0;
        for (int i = from; i < to; i++) {
            int value = order(scores.get(base + i));
            above += value > lowest ? 1 : 0;
            equal += value == lowest ? 1 : 0;
        }
        local1[thread] = above;
        local2[thread] = equal;
        context.localBarrier();
        for (int distance = 1; distance < block; distance = distance * 2) {
            int x = thread >= distance ? local1[thread - distance] : 0;
            int y = thread >= distance ? local2[thread - distance] : 0;
            context.localBarrier();
            local1[thread] += x;
            local2[thread] += y;
            context.localBarrier();
        }
        int places = k - local1[block - 1]; // for those that equal the threshold
        int aboveBefore = local1[thread] - above;
        int equalsBefore = local2[thread] - equal;
        int at = aboveBefore + Math.min(equalsBefore, places);
        if (row < meta.get(0)) {
            for (int i = from; i < to; i++) {
                int value = order(scores.get(base + i));
                aboveBefore += value > lowest ? 1 : 0;
                equalsBefore += value == lowest ? 1 : 0;
                // chosen where it takes a place; in numbers, since TornadoVM 5.2 negates the wrong part of
                // "greater, or equal and among the first"
                int next = aboveBefore + Math.min(equalsBefore, places);
                if (next > at) {
                    positions.set(out + at, i);
                    slots.set(out + at, tables.get(pages + i / 64) * 64 + i % 64);
                }
                at = next;
            }
            for (int i = Math.min(n, k) + thread; i < k; i += block) {
                positions.set(out + i, -1);
                slots.set(out + i, -1);
            }
        }
    }
}
