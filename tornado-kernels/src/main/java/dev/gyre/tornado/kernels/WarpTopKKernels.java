package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * {@link TopKKernels} for rows of up to 32,768 scores on NVIDIA's devices: a thread keeps its 32 consecutive scores in
 * registers, and counts are summed by warps. (Warp sums are of floats; counts are below 2^24, where floats are exact.)
 */
public final class WarpTopKKernels {
    /** Threads of the block that serves a row. */
    public static final int THREADS = 1024;
    /** The longest row. */
    public static final int MOST_SCORES = 32 * THREADS;
    /** Bytes of local memory: a quarter of a row, padded against bank conflicts, and counts of warps. */
    public static final int LOCAL_BYTES = (8192 + 256 + 192) * Integer.BYTES + 192 * Float.BYTES;

    private WarpTopKKernels() {}

    /** As {@link TopKKernels#kTopK}. */
    public static void kTopK(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray tables,
            IntArray scores,
            IntArray positions,
            IntArray slots) {
        int[] near = context.allocateIntLocalArray(8448);
        float[] counts = context.allocateFloatLocalArray(192);
        int thread = context.localIdx;
        int lane = thread & 31;
        int warp = thread / 32;
        int row = context.groupIdx;
        int n = visible.get(row);
        int k = meta.get(1);
        int base = row * meta.get(2);
        int out = row * k;
        int pages = row * meta.get(3);
        int v0 = -0x7fffffff - 1;
        int v1 = -0x7fffffff - 1;
        int v2 = -0x7fffffff - 1;
        int v3 = -0x7fffffff - 1;
        int v4 = -0x7fffffff - 1;
        int v5 = -0x7fffffff - 1;
        int v6 = -0x7fffffff - 1;
        int v7 = -0x7fffffff - 1;
        int v8 = -0x7fffffff - 1;
        int v9 = -0x7fffffff - 1;
        int v10 = -0x7fffffff - 1;
        int v11 = -0x7fffffff - 1;
        int v12 = -0x7fffffff - 1;
        int v13 = -0x7fffffff - 1;
        int v14 = -0x7fffffff - 1;
        int v15 = -0x7fffffff - 1;
        int v16 = -0x7fffffff - 1;
        int v17 = -0x7fffffff - 1;
        int v18 = -0x7fffffff - 1;
        int v19 = -0x7fffffff - 1;
        int v20 = -0x7fffffff - 1;
        int v21 = -0x7fffffff - 1;
        int v22 = -0x7fffffff - 1;
        int v23 = -0x7fffffff - 1;
        int v24 = -0x7fffffff - 1;
        int v25 = -0x7fffffff - 1;
        int v26 = -0x7fffffff - 1;
        int v27 = -0x7fffffff - 1;
        int v28 = -0x7fffffff - 1;
        int v29 = -0x7fffffff - 1;
        int v30 = -0x7fffffff - 1;
        int v31 = -0x7fffffff - 1;
        // memory is read by neighbours, 8192 scores at a time, and handed to their owners
        for (int part = 0; part < 4; part++) {
            int from = part * 8192 + thread;
            int x0 = from + 0 < n ? TopKKernels.order(scores.get(base + from + 0)) : -0x7fffffff - 1;
            int x1 = from + 1024 < n ? TopKKernels.order(scores.get(base + from + 1024)) : -0x7fffffff - 1;
            int x2 = from + 2048 < n ? TopKKernels.order(scores.get(base + from + 2048)) : -0x7fffffff - 1;
            int x3 = from + 3072 < n ? TopKKernels.order(scores.get(base + from + 3072)) : -0x7fffffff - 1;
            int x4 = from + 4096 < n ? TopKKernels.order(scores.get(base + from + 4096)) : -0x7fffffff - 1;
            int x5 = from + 5120 < n ? TopKKernels.order(scores.get(base + from + 5120)) : -0x7fffffff - 1;
            int x6 = from + 6144 < n ? TopKKernels.order(scores.get(base + from + 6144)) : -0x7fffffff - 1;
            int x7 = from + 7168 < n ? TopKKernels.order(scores.get(base + from + 7168)) : -0x7fffffff - 1;
            context.localBarrier();
            near[thread + 0 + (thread + 0) / 32] = x0;
            near[thread + 1024 + (thread + 1024) / 32] = x1;
            near[thread + 2048 + (thread + 2048) / 32] = x2;
            near[thread + 3072 + (thread + 3072) / 32] = x3;
            near[thread + 4096 + (thread + 4096) / 32] = x4;
            near[thread + 5120 + (thread + 5120) / 32] = x5;
            near[thread + 6144 + (thread + 6144) / 32] = x6;
            near[thread + 7168 + (thread + 7168) / 32] = x7;
            context.localBarrier();
            if (thread / 256 == part) {
                int at = (thread % 256) * 33;
                v0 = near[at + 0];
                v1 = near[at + 1];
                v2 = near[at + 2];
                v3 = near[at + 3];
                v4 = near[at + 4];
                v5 = near[at + 5];
                v6 = near[at + 6];
                v7 = near[at + 7];
                v8 = near[at + 8];
                v9 = near[at + 9];
                v10 = near[at + 10];
                v11 = near[at + 11];
                v12 = near[at + 12];
                v13 = near[at + 13];
                v14 = near[at + 14];
                v15 = near[at + 15];
                v16 = near[at + 16];
                v17 = near[at + 17];
                v18 = near[at + 18];
                v19 = near[at + 19];
                v20 = near[at + 20];
                v21 = near[at + 21];
                v22 = near[at + 22];
                v23 = near[at + 23];
                v24 = near[at + 24];
                v25 = near[at + 25];
                v26 = near[at + 26];
                v27 = near[at + 27];
                v28 = near[at + 28];
                v29 = near[at + 29];
                v30 = near[at + 30];
                v31 = near[at + 31];
            }
        }
        int lowest = -0x7fffffff - 1;
        int step = n > k ? 0x40000000 : 0;
        int turn = 0;
        while (step > 0) {
            int t1 = lowest + step;
            int t2 = t1 + step;
            int t3 = t2 + step;
            int c1 = 0;
            int c2 = 0;
            int c3 = 0;
            c1 += v0 >= t1 ? 1 : 0;
            c2 += v0 >= t2 ? 1 : 0;
            c3 += v0 >= t3 ? 1 : 0;
            c1 += v1 >= t1 ? 1 : 0;
            c2 += v1 >= t2 ? 1 : 0;
            c3 += v1 >= t3 ? 1 : 0;
            c1 += v2 >= t1 ? 1 : 0;
            c2 += v2 >= t2 ? 1 : 0;
            c3 += v2 >= t3 ? 1 : 0;
            c1 += v3 >= t1 ? 1 : 0;
            c2 += v3 >= t2 ? 1 : 0;
            c3 += v3 >= t3 ? 1 : 0;
            c1 += v4 >= t1 ? 1 : 0;
            c2 += v4 >= t2 ? 1 : 0;
            c3 += v4 >= t3 ? 1 : 0;
            c1 += v5 >= t1 ? 1 : 0;
            c2 += v5 >= t2 ? 1 : 0;
            c3 += v5 >= t3 ? 1 : 0;
            c1 += v6 >= t1 ? 1 : 0;
            c2 += v6 >= t2 ? 1 : 0;
            c3 += v6 >= t3 ? 1 : 0;
            c1 += v7 >= t1 ? 1 : 0;
            c2 += v7 >= t2 ? 1 : 0;
            c3 += v7 >= t3 ? 1 : 0;
            c1 += v8 >= t1 ? 1 : 0;
            c2 += v8 >= t2 ? 1 : 0;
            c3 += v8 >= t3 ? 1 : 0;
            c1 += v9 >= t1 ? 1 : 0;
            c2 += v9 >= t2 ? 1 : 0;
            c3 += v9 >= t3 ? 1 : 0;
            c1 += v10 >= t1 ? 1 : 0;
            c2 += v10 >= t2 ? 1 : 0;
            c3 += v10 >= t3 ? 1 : 0;
            c1 += v11 >= t1 ? 1 : 0;
            c2 += v11 >= t2 ? 1 : 0;
            c3 += v11 >= t3 ? 1 : 0;
            c1 += v12 >= t1 ? 1 : 0;
            c2 += v12 >= t2 ? 1 : 0;
            c3 += v12 >= t3 ? 1 : 0;
            c1 += v13 >= t1 ? 1 : 0;
            c2 += v13 >= t2 ? 1 : 0;
            c3 += v13 >= t3 ? 1 : 0;
            c1 += v14 >= t1 ? 1 : 0;
            c2 += v14 >= t2 ? 1 : 0;
            c3 += v14 >= t3 ? 1 : 0;
            c1 += v15 >= t1 ? 1 : 0;
            c2 += v15 >= t2 ? 1 : 0;
            c3 += v15 >= t3 ? 1 : 0;
            c1 += v16 >= t1 ? 1 : 0;
            c2 += v16 >= t2 ? 1 : 0;
            c3 += v16 >= t3 ? 1 : 0;
            c1 += v17 >= t1 ? 1 : 0;
            c2 += v17 >= t2 ? 1 : 0;
            c3 += v17 >= t3 ? 1 : 0;
            c1 += v18 >= t1 ? 1 : 0;
            c2 += v18 >= t2 ? 1 : 0;
            c3 += v18 >= t3 ? 1 : 0;
            c1 += v19 >= t1 ? 1 : 0;
            c2 += v19 >= t2 ? 1 : 0;
            c3 += v19 >= t3 ? 1 : 0;
            c1 += v20 >= t1 ? 1 : 0;
            c2 += v20 >= t2 ? 1 : 0;
            c3 += v20 >= t3 ? 1 : 0;
            c1 += v21 >= t1 ? 1 : 0;
            c2 += v21 >= t2 ? 1 : 0;
            c3 += v21 >= t3 ? 1 : 0;
            c1 += v22 >= t1 ? 1 : 0;
            c2 += v22 >= t2 ? 1 : 0;
            c3 += v22 >= t3 ? 1 : 0;
            c1 += v23 >= t1 ? 1 : 0;
            c2 += v23 >= t2 ? 1 : 0;
            c3 += v23 >= t3 ? 1 : 0;
            c1 += v24 >= t1 ? 1 : 0;
            c2 += v24 >= t2 ? 1 : 0;
            c3 += v24 >= t3 ? 1 : 0;
            c1 += v25 >= t1 ? 1 : 0;
            c2 += v25 >= t2 ? 1 : 0;
            c3 += v25 >= t3 ? 1 : 0;
            c1 += v26 >= t1 ? 1 : 0;
            c2 += v26 >= t2 ? 1 : 0;
            c3 += v26 >= t3 ? 1 : 0;
            c1 += v27 >= t1 ? 1 : 0;
            c2 += v27 >= t2 ? 1 : 0;
            c3 += v27 >= t3 ? 1 : 0;
            c1 += v28 >= t1 ? 1 : 0;
            c2 += v28 >= t2 ? 1 : 0;
            c3 += v28 >= t3 ? 1 : 0;
            c1 += v29 >= t1 ? 1 : 0;
            c2 += v29 >= t2 ? 1 : 0;
            c3 += v29 >= t3 ? 1 : 0;
            c1 += v30 >= t1 ? 1 : 0;
            c2 += v30 >= t2 ? 1 : 0;
            c3 += v30 >= t3 ? 1 : 0;
            c1 += v31 >= t1 ? 1 : 0;
            c2 += v31 >= t2 ? 1 : 0;
            c3 += v31 >= t3 ? 1 : 0;
            float s1 = context.simdSum((float) c1);
            float s2 = context.simdSum((float) c2);
            float s3 = context.simdSum((float) c3);
            if (lane == 0) {
                counts[turn + warp] = s1;
                counts[turn + 32 + warp] = s2;
                counts[turn + 64 + warp] = s3;
            }
            context.localBarrier();
            int n1 = (int) context.simdSum(counts[turn + lane]);
            int n2 = (int) context.simdSum(counts[turn + 32 + lane]);
            int n3 = (int) context.simdSum(counts[turn + 64 + lane]);
            turn = 96 - turn; // the next round writes elsewhere, so one barrier a round is enough
            lowest = n3 >= k ? t3 : n2 >= k ? t2 : n1 >= k ? t1 : lowest;
            step = n1 == k ? 0 : step / 4;
            step = n2 == k ? 0 : step;
            step = n3 == k ? 0 : step;
        }
        int above = 0;
        int equal = 0;
        above += v0 > lowest ? 1 : 0;
        equal += v0 == lowest ? 1 : 0;
        above += v1 > lowest ? 1 : 0;
        equal += v1 == lowest ? 1 : 0;
        above += v2 > lowest ? 1 : 0;
        equal += v2 == lowest ? 1 : 0;
        above += v3 > lowest ? 1 : 0;
        equal += v3 == lowest ? 1 : 0;
        above += v4 > lowest ? 1 : 0;
        equal += v4 == lowest ? 1 : 0;
        above += v5 > lowest ? 1 : 0;
        equal += v5 == lowest ? 1 : 0;
        above += v6 > lowest ? 1 : 0;
        equal += v6 == lowest ? 1 : 0;
        above += v7 > lowest ? 1 : 0;
        equal += v7 == lowest ? 1 : 0;
        above += v8 > lowest ? 1 : 0;
        equal += v8 == lowest ? 1 : 0;
        above += v9 > lowest ? 1 : 0;
        equal += v9 == lowest ? 1 : 0;
        above += v10 > lowest ? 1 : 0;
        equal += v10 == lowest ? 1 : 0;
        above += v11 > lowest ? 1 : 0;
        equal += v11 == lowest ? 1 : 0;
        above += v12 > lowest ? 1 : 0;
        equal += v12 == lowest ? 1 : 0;
        above += v13 > lowest ? 1 : 0;
        equal += v13 == lowest ? 1 : 0;
        above += v14 > lowest ? 1 : 0;
        equal += v14 == lowest ? 1 : 0;
        above += v15 > lowest ? 1 : 0;
        equal += v15 == lowest ? 1 : 0;
        above += v16 > lowest ? 1 : 0;
        equal += v16 == lowest ? 1 : 0;
        above += v17 > lowest ? 1 : 0;
        equal += v17 == lowest ? 1 : 0;
        above += v18 > lowest ? 1 : 0;
        equal += v18 == lowest ? 1 : 0;
        above += v19 > lowest ? 1 : 0;
        equal += v19 == lowest ? 1 : 0;
        above += v20 > lowest ? 1 : 0;
        equal += v20 == lowest ? 1 : 0;
        above += v21 > lowest ? 1 : 0;
        equal += v21 == lowest ? 1 : 0;
        above += v22 > lowest ? 1 : 0;
        equal += v22 == lowest ? 1 : 0;
        above += v23 > lowest ? 1 : 0;
        equal += v23 == lowest ? 1 : 0;
        above += v24 > lowest ? 1 : 0;
        equal += v24 == lowest ? 1 : 0;
        above += v25 > lowest ? 1 : 0;
        equal += v25 == lowest ? 1 : 0;
        above += v26 > lowest ? 1 : 0;
        equal += v26 == lowest ? 1 : 0;
        above += v27 > lowest ? 1 : 0;
        equal += v27 == lowest ? 1 : 0;
        above += v28 > lowest ? 1 : 0;
        equal += v28 == lowest ? 1 : 0;
        above += v29 > lowest ? 1 : 0;
        equal += v29 == lowest ? 1 : 0;
        above += v30 > lowest ? 1 : 0;
        equal += v30 == lowest ? 1 : 0;
        above += v31 > lowest ? 1 : 0;
        equal += v31 == lowest ? 1 : 0;
        // what lies beyond the row equals the lowest value of all, which no score has
        equal = n > k ? equal : 0;
        context.localBarrier();
        near[thread] = above;
        near[1024 + thread] = equal;
        context.localBarrier();
        for (int distance = 1; distance < 1024; distance = distance * 2) {
            int x = thread >= distance ? near[thread - distance] : 0;
            int y = thread >= distance ? near[1024 + thread - distance] : 0;
            context.localBarrier();
            near[thread] += x;
            near[1024 + thread] += y;
            context.localBarrier();
        }
        int places = n > k ? k - near[1023] : 0; // for those that equal the threshold
        int aboveBefore = near[thread] - above;
        int equalsBefore = near[1024 + thread] - equal;
        int at = aboveBefore + Math.min(equalsBefore, places);
        int first = thread * 32;
        int next = at;
        aboveBefore += v0 > lowest ? 1 : 0;
        equalsBefore += v0 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 0);
            slots.set(out + at, tables.get(pages + (first + 0) / 64) * 64 + (first + 0) % 64);
        }
        at = next;
        aboveBefore += v1 > lowest ? 1 : 0;
        equalsBefore += v1 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 1);
            slots.set(out + at, tables.get(pages + (first + 1) / 64) * 64 + (first + 1) % 64);
        }
        at = next;
        aboveBefore += v2 > lowest ? 1 : 0;
        equalsBefore += v2 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 2);
            slots.set(out + at, tables.get(pages + (first + 2) / 64) * 64 + (first + 2) % 64);
        }
        at = next;
        aboveBefore += v3 > lowest ? 1 : 0;
        equalsBefore += v3 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 3);
            slots.set(out + at, tables.get(pages + (first + 3) / 64) * 64 + (first + 3) % 64);
        }
        at = next;
        aboveBefore += v4 > lowest ? 1 : 0;
        equalsBefore += v4 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 4);
            slots.set(out + at, tables.get(pages + (first + 4) / 64) * 64 + (first + 4) % 64);
        }
        at = next;
        aboveBefore += v5 > lowest ? 1 : 0;
        equalsBefore += v5 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 5);
            slots.set(out + at, tables.get(pages + (first + 5) / 64) * 64 + (first + 5) % 64);
        }
        at = next;
        aboveBefore += v6 > lowest ? 1 : 0;
        equalsBefore += v6 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 6);
            slots.set(out + at, tables.get(pages + (first + 6) / 64) * 64 + (first + 6) % 64);
        }
        at = next;
        aboveBefore += v7 > lowest ? 1 : 0;
        equalsBefore += v7 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 7);
            slots.set(out + at, tables.get(pages + (first + 7) / 64) * 64 + (first + 7) % 64);
        }
        at = next;
        aboveBefore += v8 > lowest ? 1 : 0;
        equalsBefore += v8 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 8);
            slots.set(out + at, tables.get(pages + (first + 8) / 64) * 64 + (first + 8) % 64);
        }
        at = next;
        aboveBefore += v9 > lowest ? 1 : 0;
        equalsBefore += v9 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 9);
            slots.set(out + at, tables.get(pages + (first + 9) / 64) * 64 + (first + 9) % 64);
        }
        at = next;
        aboveBefore += v10 > lowest ? 1 : 0;
        equalsBefore += v10 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 10);
            slots.set(out + at, tables.get(pages + (first + 10) / 64) * 64 + (first + 10) % 64);
        }
        at = next;
        aboveBefore += v11 > lowest ? 1 : 0;
        equalsBefore += v11 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 11);
            slots.set(out + at, tables.get(pages + (first + 11) / 64) * 64 + (first + 11) % 64);
        }
        at = next;
        aboveBefore += v12 > lowest ? 1 : 0;
        equalsBefore += v12 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 12);
            slots.set(out + at, tables.get(pages + (first + 12) / 64) * 64 + (first + 12) % 64);
        }
        at = next;
        aboveBefore += v13 > lowest ? 1 : 0;
        equalsBefore += v13 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 13);
            slots.set(out + at, tables.get(pages + (first + 13) / 64) * 64 + (first + 13) % 64);
        }
        at = next;
        aboveBefore += v14 > lowest ? 1 : 0;
        equalsBefore += v14 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 14);
            slots.set(out + at, tables.get(pages + (first + 14) / 64) * 64 + (first + 14) % 64);
        }
        at = next;
        aboveBefore += v15 > lowest ? 1 : 0;
        equalsBefore += v15 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 15);
            slots.set(out + at, tables.get(pages + (first + 15) / 64) * 64 + (first + 15) % 64);
        }
        at = next;
        aboveBefore += v16 > lowest ? 1 : 0;
        equalsBefore += v16 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 16);
            slots.set(out + at, tables.get(pages + (first + 16) / 64) * 64 + (first + 16) % 64);
        }
        at = next;
        aboveBefore += v17 > lowest ? 1 : 0;
        equalsBefore += v17 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 17);
            slots.set(out + at, tables.get(pages + (first + 17) / 64) * 64 + (first + 17) % 64);
        }
        at = next;
        aboveBefore += v18 > lowest ? 1 : 0;
        equalsBefore += v18 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 18);
            slots.set(out + at, tables.get(pages + (first + 18) / 64) * 64 + (first + 18) % 64);
        }
        at = next;
        aboveBefore += v19 > lowest ? 1 : 0;
        equalsBefore += v19 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 19);
            slots.set(out + at, tables.get(pages + (first + 19) / 64) * 64 + (first + 19) % 64);
        }
        at = next;
        aboveBefore += v20 > lowest ? 1 : 0;
        equalsBefore += v20 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 20);
            slots.set(out + at, tables.get(pages + (first + 20) / 64) * 64 + (first + 20) % 64);
        }
        at = next;
        aboveBefore += v21 > lowest ? 1 : 0;
        equalsBefore += v21 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 21);
            slots.set(out + at, tables.get(pages + (first + 21) / 64) * 64 + (first + 21) % 64);
        }
        at = next;
        aboveBefore += v22 > lowest ? 1 : 0;
        equalsBefore += v22 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 22);
            slots.set(out + at, tables.get(pages + (first + 22) / 64) * 64 + (first + 22) % 64);
        }
        at = next;
        aboveBefore += v23 > lowest ? 1 : 0;
        equalsBefore += v23 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 23);
            slots.set(out + at, tables.get(pages + (first + 23) / 64) * 64 + (first + 23) % 64);
        }
        at = next;
        aboveBefore += v24 > lowest ? 1 : 0;
        equalsBefore += v24 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 24);
            slots.set(out + at, tables.get(pages + (first + 24) / 64) * 64 + (first + 24) % 64);
        }
        at = next;
        aboveBefore += v25 > lowest ? 1 : 0;
        equalsBefore += v25 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 25);
            slots.set(out + at, tables.get(pages + (first + 25) / 64) * 64 + (first + 25) % 64);
        }
        at = next;
        aboveBefore += v26 > lowest ? 1 : 0;
        equalsBefore += v26 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 26);
            slots.set(out + at, tables.get(pages + (first + 26) / 64) * 64 + (first + 26) % 64);
        }
        at = next;
        aboveBefore += v27 > lowest ? 1 : 0;
        equalsBefore += v27 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 27);
            slots.set(out + at, tables.get(pages + (first + 27) / 64) * 64 + (first + 27) % 64);
        }
        at = next;
        aboveBefore += v28 > lowest ? 1 : 0;
        equalsBefore += v28 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 28);
            slots.set(out + at, tables.get(pages + (first + 28) / 64) * 64 + (first + 28) % 64);
        }
        at = next;
        aboveBefore += v29 > lowest ? 1 : 0;
        equalsBefore += v29 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 29);
            slots.set(out + at, tables.get(pages + (first + 29) / 64) * 64 + (first + 29) % 64);
        }
        at = next;
        aboveBefore += v30 > lowest ? 1 : 0;
        equalsBefore += v30 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 30);
            slots.set(out + at, tables.get(pages + (first + 30) / 64) * 64 + (first + 30) % 64);
        }
        at = next;
        aboveBefore += v31 > lowest ? 1 : 0;
        equalsBefore += v31 == lowest ? 1 : 0;
        next = aboveBefore + Math.min(equalsBefore, places);
        if (next > at) {
            positions.set(out + at, first + 31);
            slots.set(out + at, tables.get(pages + (first + 31) / 64) * 64 + (first + 31) % 64);
        }
        at = next;
        for (int i = Math.min(n, k) + thread; i < k; i += 1024) {
            positions.set(out + i, -1);
            slots.set(out + i, -1);
        }
    }
}
