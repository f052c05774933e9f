package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;

/**
 * What the threads of a block find out together, through local memory. Blocks are of 64 to 1024 threads, a power of
 * two. Every method is to be called by all threads of a block, and may be called again at once.
 *
 * <p>The methods allocate what they need, so every call in a kernel takes local memory of its own: where a local array
 * is passed to a method, TornadoVM 5.2 takes bytes and the header of a Java array for its index, and goes beyond its
 * end.
 */
final class Block {
    /** Threads that share an int of flags, one bit each. */
    static final int GROUP = 32;
    /** Bytes of local memory that a call of {@link #sum} needs. */
    static final int SUM_BYTES = 1024 * Long.BYTES;
    /** Bytes that a call of {@link #max(KernelContext, long)} needs. */
    static final int MAX_BYTES = 1024 * Long.BYTES;
    /** Bytes that a call of {@link #max(KernelContext, float)} needs. */
    static final int FLOAT_MAX_BYTES = 1024 * Float.BYTES;
    /** Bytes that a call of {@link #before} needs. */
    static final int BEFORE_BYTES = (1056 + 32) * Integer.BYTES;
    /** Bytes that a call of {@link #flip} needs. */
    static final int FLIP_BYTES = 1024 * Integer.BYTES;

    private Block() {}

    /** The sum of all threads' numbers. */
    static long sum(KernelContext context, long mine) {
        long[] sums = context.allocateLongLocalArray(1024);
        int thread = context.localIdx;
        sums[thread] = mine;
        context.localBarrier();
        // eighths until few are left: three barriers where halves need ten
        int left = context.localGroupSizeX;
        while (left > 8) {
            left = left / 8;
            if (thread < left) {
                long sum = 0;
                for (int i = 0; i < 8; i++) {
                    sum += sums[thread + i * left];
                }
                sums[thread] = sum;
            }
            context.localBarrier();
        }
        long total = 0;
        for (int i = 0; i < left; i++) {
            total += sums[i];
        }
        context.localBarrier();
        return total;
    }

    /** The greatest of all threads' numbers. */
    static long max(KernelContext context, long mine) {
        long[] cells = context.allocateLongLocalArray(1024);
        int thread = context.localIdx;
        cells[thread] = mine;
        context.localBarrier();
        for (int half = context.localGroupSizeX / 2; half > 0; half = half / 2) {
            if (thread < half) {
                cells[thread] = Math.max(cells[thread], cells[thread + half]);
            }
            context.localBarrier();
        }
        long greatest = cells[0];
        context.localBarrier();
        return greatest;
    }

    /** The same of floats. */
    static float max(KernelContext context, float mine) {
        float[] cells = context.allocateFloatLocalArray(1024);
        int thread = context.localIdx;
        cells[thread] = mine;
        context.localBarrier();
        for (int half = context.localGroupSizeX / 2; half > 0; half = half / 2) {
            if (thread < half) {
                cells[thread] = TornadoMath.max(cells[thread], cells[thread + half]);
            }
            context.localBarrier();
        }
        float greatest = cells[0];
        context.localBarrier();
        return greatest;
    }

    /** The sum of the numbers of the threads before this one. */
    static int before(KernelContext context, int mine) {
        int[] cells = context.allocateIntLocalArray(1056);
        int[] groups = context.allocateIntLocalArray(32);
        int thread = context.localIdx;
        int cell = thread + thread / GROUP; // padded: 32 threads go through 32 cells each without bank conflicts
        cells[cell] = mine;
        context.localBarrier();
        if (thread < context.localGroupSizeX / GROUP) {
            int sum = 0;
            for (int i = 0; i < GROUP; i++) {
                int next = cells[thread * (GROUP + 1) + i];
                cells[thread * (GROUP + 1) + i] = sum;
                sum += next;
            }
            groups[thread] = sum;
        }
        context.localBarrier();
        int before = cells[cell];
        for (int i = 0; i < thread / GROUP; i++) {
            before += groups[i];
        }
        context.localBarrier();
        return before;
    }

    /** Flips the bits of each group of 32 threads over the diagonal: bit i of thread j becomes bit j of thread i. */
    static int flip(KernelContext context, int bits) {
        int[] cells = context.allocateIntLocalArray(1024);
        int thread = context.localIdx;
        int lane = thread % GROUP;
        int group = thread - lane;
        cells[thread] = bits;
        context.localBarrier();
        int flipped = 0;
        for (int i = GROUP - 1; i >= 0; i--) {
            flipped = flipped << 1 | ((cells[group + i] >> lane) & 1);
        }
        context.localBarrier();
        return flipped;
    }
}
