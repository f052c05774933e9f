package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** What a sample of a row's scores says about its k-th largest. */
final class TopKSample {
    /** Scores of a sample, where a block has as many threads. */
    private static final int SAMPLES = 256;
    /** Bytes of local memory that {@link #bracket} needs. */
    static final int BYTES = (256 + 1024 + 2) * Integer.BYTES;

    private TopKSample() {}

    /**
     * Looks for two keys between which the k-th largest of n lies, in a sample of every (n / 256)-th score. If a share
     * k / n of all scores is above the k-th largest, then of the sample about the same share, give or take the root of
     * that number; two places that are four times as far to either side bracket it, unless the sample is a bad one.
     *
     * @return the {@linkplain #lower lower} and the {@linkplain #upper upper} key
     */
    static long bracket(KernelContext context, IntArray scores, int base, int n, int k) {
        int[] samples = context.allocateIntLocalArray(256);
        int[] cells = context.allocateIntLocalArray(1024);
        int[] edges = context.allocateIntLocalArray(2);
        int thread = context.localIdx;
        int block = context.localGroupSizeX;
        int count = Math.min(SAMPLES, block);
        int sample = thread & (count - 1);
        int key = TopKSteps.order(scores.get(base + sample * (n / count) + sample * (n % count) / count));
        // no two are equal, so every rank is somebody's; which of two nearly equal ones is first does not matter
        int distinct = (key & -count) | sample;
        if (thread < count) {
            samples[sample] = distinct;
        }
        if (thread == 0) {
            edges[0] = TopKSteps.LEAST;
            edges[1] = TopKSteps.MOST + 1;
        }
        context.localBarrier();
        // block / count threads find the rank of a sample together
        int length = count / (block / count);
        int from = thread / count * length;
        int higher = 0;
        for (int i = 0; i < length; i++) {
            higher += samples[from + i] > distinct ? 1 : 0;
        }
        cells[thread] = higher;
        context.localBarrier();
        if (thread < count) {
            int rank = 0;
            for (int i = thread; i < block; i += count) {
                rank += cells[i];
            }
            float expected = (float) count * k / Math.max(n, 1);
            int margin = (int) (4 * TornadoMath.sqrt(expected)) + 2;
            if (rank == (int) expected + margin) {
                edges[0] = key;
            }
            if (rank == (int) expected - margin) {
                edges[1] = key;
            }
        }
        context.localBarrier();
        return (long) edges[1] << 32 | edges[0] & 0xffffffffL;
    }

    /** The lower key of a bracket. */
    static int lower(long bracket) {
        return (int) bracket;
    }

    /** The upper key of a bracket. */
    static int upper(long bracket) {
        return (int) (bracket >> 32);
    }
}
