package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.BFloat16;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** What goes before, between and after the products of {@link MmaMlaKernels}: packing, softmax, division. */
public final class MmaSoftmaxKernels {
    /** Threads of a block of {@link #kWeights}. */
    public static final int WEIGHT_THREADS = 256;
    /** Ints of a row's packed queries. */
    public static final int PACKED_INTS = MmaMlaKernels.WIDTH * MmaMlaKernels.HEADS / 2;
    /** Bytes of local memory of {@link #kPackQueries}. */
    public static final int PACK_BYTES = 512 * Integer.BYTES;
    /** Bytes of local memory of {@link #kWeights}. */
    public static final int WEIGHTS_BYTES = (16 * 129 + MmaMlaKernels.TILE) * Integer.BYTES;

    private MmaSoftmaxKernels() {}

    /**
     * Queries in the order of {@link MmaMlaKernels#kScores}' right tiles: for each row {@code [9][4][16][16][4]}
     * ints: steps of 64 dimensions, of 16, tiles of 8 heads, dimensions, pairs of heads.
     *
     * @param q {@code [rows, 128, 576]}
     */
    public static void kPackQueries(KernelContext context, IntArray meta, FloatArray q, IntArray packed) {
        int[] halves = context.allocateIntLocalArray(512);
        int i = context.globalIdx;
        int thread = context.localIdx;
        if (i < meta.get(0) * 36864) {
            int head = (i / 64) % 16 * 8 + i % 4 * 2;
            int d = (i % 36864) / 1024 * 16 + i / 4 % 16;
            int at = (i / 36864 * 128 + head) * 576 + d;
            float low = q.get(at);
            float high = q.get(at + 576);
            // TornadoVM 5.2 computes with a fresh bf16 in 16 bits; read back from local memory it is an int
            halves[thread] = BFloat16.bf16FromFloat(low);
            halves[256 + thread] = BFloat16.bf16FromFloat(high);
            packed.set(Decode.LEAD + i, (halves[thread] & 0xffff) | (halves[256 + thread] << 16));
        }
    }

    /**
     * Weights {@code exp(scale (score - maximum))} in bf16, as left tiles of {@link MmaMlaKernels#kSums}: for each
     * row {@code [k / 16][8 tiles of 16 heads][16][8]} ints; and their sums by tiles of tokens. One block a row and
     * tile of 128 tokens.
     *
     * @param factors the softmax scale
     * @param sums {@code [rows, k / 128, 2, 128]}
     */
    public static void kWeights(
            KernelContext context,
            IntArray meta,
            FloatArray factors,
            IntArray slots,
            FloatArray scores,
            FloatArray highest,
            IntArray weights,
            FloatArray sums) {
        int[] packed = context.allocateIntLocalArray(2064);
        int[] tokens = context.allocateIntLocalArray(128);
        int thread = context.localIdx;
        int k = meta.get(1);
        int limit = meta.get(2);
        int tiles = k / 128;
        int row = context.groupIdx / tiles;
        int first = row * k + context.groupIdx % tiles * 128;
        int head = thread % 128;
        int side = thread / 128;
        float scale = factors.get(0);
        float best = -1e30f;
        for (int t = 0; t < 4 * tiles; t++) {
            best = TornadoMath.max(best, highest.get((row * tiles * 4 + t) * 128 + head));
        }
        if (thread < 128) {
            int slot = slots.get(first + thread);
            int small = slot < limit ? slot : -1;
            tokens[thread] = small;
        }
        context.localBarrier();
        float sum = 0f;
        for (int part = 0; part < 8; part++) {
            int at = Decode.LEAD + (first + part * 16 + side * 2) * 128 + head;
            float s0 = scores.get(at);
            float s1 = scores.get(at + 128);
            float s2 = scores.get(at + 512);
            float s3 = scores.get(at + 640);
            float s4 = scores.get(at + 1024);
            float s5 = scores.get(at + 1152);
            float s6 = scores.get(at + 1536);
            float s7 = scores.get(at + 1664);
            float p0 = tokens[part * 16 + side * 2] >= 0 ? TornadoMath.exp((s0 - best) * scale) : 0f;
            float p1 = tokens[part * 16 + side * 2 + 1] >= 0 ? TornadoMath.exp((s1 - best) * scale) : 0f;
            float p2 = tokens[part * 16 + side * 2 + 4] >= 0 ? TornadoMath.exp((s2 - best) * scale) : 0f;
            float p3 = tokens[part * 16 + side * 2 + 5] >= 0 ? TornadoMath.exp((s3 - best) * scale) : 0f;
            float p4 = tokens[part * 16 + side * 2 + 8] >= 0 ? TornadoMath.exp((s4 - best) * scale) : 0f;
            float p5 = tokens[part * 16 + side * 2 + 9] >= 0 ? TornadoMath.exp((s5 - best) * scale) : 0f;
            float p6 = tokens[part * 16 + side * 2 + 12] >= 0 ? TornadoMath.exp((s6 - best) * scale) : 0f;
            float p7 = tokens[part * 16 + side * 2 + 13] >= 0 ? TornadoMath.exp((s7 - best) * scale) : 0f;
            sum += p0 + p1 + p2 + p3 + p4 + p5 + p6 + p7;
            packed[(0 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p0);
            packed[(1 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p1);
            packed[(4 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p2);
            packed[(5 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p3);
            packed[(8 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p4);
            packed[(9 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p5);
            packed[(12 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p6);
            packed[(13 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p7);
            context.localBarrier();
            // TornadoVM 5.2 computes with a fresh bf16 in 16 bits; read back from local memory it is an int
            for (int u = 0; u < 4; u++) {
                int cell = u * 256 + thread;
                int half = cell % 8 * 258 + cell / 8;
                weights.set(Decode.LEAD + (first / 16 + part) * 1024 + cell,
                        (packed[half] & 0xffff) | (packed[half + 129] << 16));
            }
            context.localBarrier();
        }
        sums.set((first / 128 * 2 + side) * 128 + head, sum);
    }

    /** {@code out /= the sum of the weights}; a row without a valid token gives 0. */
    public static void kDivide(KernelContext context, IntArray meta, FloatArray sums, FloatArray out) {
        int tiles = meta.get(1) / 128 * 2;
        int task = context.groupIdx;
        int thread = context.localIdx;
        int lane = thread & 31;
        float mine = 0f;
        for (int t = lane; t < tiles; t += 32) {
            mine += sums.get((task / 128 * tiles + t) * 128 + task % 128);
        }
        float total = context.simdSum(mine);
        float factor = total > 0f ? 1f / total : 0f;
        int at = task * 512 + thread;
        float v0 = out.get(at);
        float v1 = out.get(at + 128);
        float v2 = out.get(at + 256);
        float v3 = out.get(at + 384);
        out.set(at, v0 * factor);
        out.set(at + 128, v1 * factor);
        out.set(at + 256, v2 * factor);
        out.set(at + 384, v3 * factor);
    }
}
