package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Exact top-k by a search for the k-th largest score, two bits of it a pass, then one pass that writes positions in
 * ascending order. Once few enough scores are left in question they are gathered in local memory, and the later passes
 * look at them alone. No atomics and no sorting, so the result is deterministic. One block a row.
 */
public final class TopKKernels {
    /** The most threads of a block. */
    public static final int MOST_BLOCK = 1024;
    /** Bytes of local memory: counts, and what is gathered. */
    public static final int LOCAL_BYTES = (1056 + 1024 + 1024 + 8192) * Integer.BYTES;

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

    private static void put(IntArray positions, IntArray slots, IntArray tables, int at, int pages, int position) {
        positions.set(at, position);
        slots.set(at, tables.get(pages + position / 64) * 64 + position % 64);
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
        int[] local1 = context.allocateIntLocalArray(1056);
        int[] local2 = context.allocateIntLocalArray(1024);
        int[] local3 = context.allocateIntLocalArray(1024);
        int[] near = context.allocateIntLocalArray(8192);
        int row = context.groupIdx;
        int thread = context.localIdx;
        int block = context.localGroupSizeX;
        int n = row < meta.get(0) ? visible.get(row) : 0;
        int k = meta.get(1);
        int base = row * meta.get(2);
        // The k-th largest lies in [lowest, lowest + 4 step); "from" scores are at least lowest, "top" lie beyond. A
        // row of up to k scores leaves lowest below all of them.
        int lowest = -0x7fffffff - 1;
        int step = n > k ? 0x40000000 : 0;
        int from = n;
        int top = n > k ? 0 : n;
        int far = n; // scores to look at in the row, until those in question are
        int close = 0; // gathered here
        int beyond = 0; // and this many lie above them
        while (step > 0) {
            int t1 = lowest + step;
            int t2 = t1 + step;
            int t3 = t2 + step;
            int c1 = 0;
            int c2 = 0;
            int c3 = 0;
            // eight loads in flight: a thread that waits for each in turn spends its time waiting
            for (int i = thread; i < far; i += 8 * block) {
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
            for (int i = thread; i < close; i += block) {
                int value = near[i];
                c1 += value >= t1 ? 1 : 0;
                c2 += value >= t2 ? 1 : 0;
                c3 += value >= t3 ? 1 : 0;
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
            int n1 = beyond + local1[0];
            int n2 = beyond + local2[0];
            int n3 = beyond + local3[0];
            context.localBarrier();
            top = n3 >= k ? top : n2 >= k ? n3 : n1 >= k ? n2 : n1;
            from = n3 >= k ? n3 : n2 >= k ? n2 : n1 >= k ? n1 : from;
            lowest = n3 >= k ? t3 : n2 >= k ? t2 : n1 >= k ? t1 : lowest;
            int last = lowest + (step - 1);
            step = step / 4;
            int gather = from - top <= 8192 ? 1 : 0;
            gather = close > 0 ? 0 : gather;
            if (from == k) {
                // exactly k are left: those above what lies below them, and no need to know the k-th itself
                lowest = lowest - 1;
                top = k;
                step = 0;
                gather = 0;
            }
            if (gather > 0) {
                int mine = 0;
                for (int i = thread; i < n; i += block) {
                    int value = order(scores.get(base + i));
                    int atLeast = value >= lowest ? 1 : 0;
                    mine += value <= last ? atLeast : 0;
                }
                local1[thread] = mine;
                context.localBarrier();
                for (int distance = 1; distance < block; distance = distance * 2) {
                    int x = thread >= distance ? local1[thread - distance] : 0;
                    context.localBarrier();
                    local1[thread] += x;
                    context.localBarrier();
                }
                int at = local1[thread] - mine;
                for (int i = thread; i < n; i += block) {
                    int value = order(scores.get(base + i));
                    int atLeast = value >= lowest ? 1 : 0;
                    int inside = value <= last ? atLeast : 0;
                    if (inside > 0) {
                        near[at] = value;
                        at++;
                    }
                }
                context.localBarrier();
                close = from - top;
                beyond = top;
                far = 0;
            }
        }
        int places = n > k ? k - top : 0; // for those that equal the threshold
        int out = row * k;
        int pages = row * meta.get(3);
        int above = 0;
        int equal = 0;
        int cell = thread + thread / 32; // padded: 32 threads go through 32 cells each without bank conflicts
        for (int tile = 0; tile < n; tile += 8 * block) {
            int first = tile + 8 * thread;
            int value0 = load(scores, base, first, n);
            int value1 = load(scores, base, first + 1, n);
            int value2 = load(scores, base, first + 2, n);
            int value3 = load(scores, base, first + 3, n);
            int value4 = load(scores, base, first + 4, n);
            int value5 = load(scores, base, first + 5, n);
            int value6 = load(scores, base, first + 6, n);
            int value7 = load(scores, base, first + 7, n);
            int more0 = value0 > lowest ? 1 : 0;
            int more1 = value1 > lowest ? 1 : 0;
            int more2 = value2 > lowest ? 1 : 0;
            int more3 = value3 > lowest ? 1 : 0;
            int more4 = value4 > lowest ? 1 : 0;
            int more5 = value5 > lowest ? 1 : 0;
            int more6 = value6 > lowest ? 1 : 0;
            int more7 = value7 > lowest ? 1 : 0;
            int same0 = value0 == lowest ? 1 : 0;
            int same1 = value1 == lowest ? 1 : 0;
            int same2 = value2 == lowest ? 1 : 0;
            int same3 = value3 == lowest ? 1 : 0;
            int same4 = value4 == lowest ? 1 : 0;
            int same5 = value5 == lowest ? 1 : 0;
            int same6 = value6 == lowest ? 1 : 0;
            int same7 = value7 == lowest ? 1 : 0;
            // two counts in one: a tile has at most 8192 of each
            int more = more0 + more1 + more2 + more3 + more4 + more5 + more6 + more7;
            int same = same0 + same1 + same2 + same3 + same4 + same5 + same6 + same7;
            int mine = more + same * 65536;
            local1[cell] = mine;
            context.localBarrier();
            if (thread < block / 32) {
                int sum = 0;
                for (int i = 0; i < 32; i++) {
                    int next = local1[thread * 33 + i];
                    local1[thread * 33 + i] = sum;
                    sum += next;
                }
                local2[thread] = sum;
            }
            context.localBarrier();
            int before = local1[cell];
            int total = 0;
            for (int i = 0; i < block / 32; i++) {
                int sum = local2[i];
                before += i < thread / 32 ? sum : 0;
                total += sum;
            }
            context.localBarrier();
            // A score is chosen where it takes a place; in numbers, since TornadoVM 5.2 negates the wrong part of
            // "greater, or equal and among the first".
            int aboveBefore = above + before % 65536;
            int equalBefore = equal + before / 65536;
            int at0 = aboveBefore + Math.min(equalBefore, places);
            aboveBefore += more0;
            equalBefore += same0;
            int at1 = aboveBefore + Math.min(equalBefore, places);
            if (at1 > at0) {
                put(positions, slots, tables, out + at0, pages, first);
            }
            aboveBefore += more1;
            equalBefore += same1;
            int at2 = aboveBefore + Math.min(equalBefore, places);
            if (at2 > at1) {
                put(positions, slots, tables, out + at1, pages, first + 1);
            }
            aboveBefore += more2;
            equalBefore += same2;
            int at3 = aboveBefore + Math.min(equalBefore, places);
            if (at3 > at2) {
                put(positions, slots, tables, out + at2, pages, first + 2);
            }
            aboveBefore += more3;
            equalBefore += same3;
            int at4 = aboveBefore + Math.min(equalBefore, places);
            if (at4 > at3) {
                put(positions, slots, tables, out + at3, pages, first + 3);
            }
            aboveBefore += more4;
            equalBefore += same4;
            int at5 = aboveBefore + Math.min(equalBefore, places);
            if (at5 > at4) {
                put(positions, slots, tables, out + at4, pages, first + 4);
            }
            aboveBefore += more5;
            equalBefore += same5;
            int at6 = aboveBefore + Math.min(equalBefore, places);
            if (at6 > at5) {
                put(positions, slots, tables, out + at5, pages, first + 5);
            }
            aboveBefore += more6;
            equalBefore += same6;
            int at7 = aboveBefore + Math.min(equalBefore, places);
            if (at7 > at6) {
                put(positions, slots, tables, out + at6, pages, first + 6);
            }
            aboveBefore += more7;
            equalBefore += same7;
            int at8 = aboveBefore + Math.min(equalBefore, places);
            if (at8 > at7) {
                put(positions, slots, tables, out + at7, pages, first + 7);
            }
            above += total % 65536;
            equal += total / 65536;
        }
        if (row < meta.get(0)) {
            for (int i = Math.min(n, k) + thread; i < k; i += block) {
                positions.set(out + i, -1);
                slots.set(out + i, -1);
            }
        }
    }
}
