package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.BFloat16;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;

/**
 * Sparse absorbed MLA on NVIDIA's tensor cores, first half: 128 heads, latents of 512 and rotary keys of 64 in bf16;
 * from queries to weights. {@link MmaMlaSums} is the second half.
 *
 * <p>Local memory of a block is 48 KB in TornadoVM 5.2, too little for a kernel that keeps queries and sums as FlashMLA
 * does. So a selection is split into tiles of 128 tokens, every one a block: scores, their softmax relative to the
 * tile's own maximum, the weights in bf16. The tiles' maxima are rounded up to powers of two, so that the second half
 * brings weights to the row's maximum by subtracting from their exponents, exactly.
 *
 * <p>Arrays that warps read and write in whole sectors begin {@link Decode#LEAD} elements in. Tiles in local memory
 * are swizzled, so that what eight lanes read or write at once is in different banks; {@code mmaLoadA} and {@code
 * mmaLoadB} add the address that a lane has in a tile without gaps, and take an offset from each lane.
 */
public final class MmaMlaKernels {
    /** Attention heads. */
    public static final int HEADS = 128;
    /** Width of the compressed latent. */
    public static final int LATENT = 512;
    /** Width of the rotary key. */
    public static final int ROPE = 64;
    /** Width of a cached row. */
    public static final int WIDTH = LATENT + ROPE;
    /** Tokens of a tile; selections are padded to a multiple. */
    public static final int TILE = 128;
    /** Threads of a block. */
    public static final int THREADS = 256;
    /** Longs of a row's packed queries. */
    public static final int PACKED = WIDTH * HEADS / 4;
    /** {@link Decode#LEAD} for arrays of longs. */
    public static final int LONG_LEAD = Decode.LEAD / 2;
    /** Bytes of local memory of {@link #kWeights}. */
    public static final int LOCAL_BYTES = (4096 + 4096 + TILE + 4 * HEADS + HEADS) * Integer.BYTES;

    private static final float LOG2_E = 1.4426950408889634f;
    /** A float next to which floats are whole numbers. */
    private static final float TO_WHOLE = 12582912f;
    /** Below every score's exponent: the maximum of a tile without a valid token. */
    static final float NOTHING = -1e9f;

    private MmaMlaKernels() {}

    /**
     * Queries in the order of {@link #kWeights}' right tiles: for each row {@code [18][16][16][4]} longs: steps of 32
     * dimensions, tiles of 8 heads, dimensions, bf16 pairs of heads; the lower half is of the first 16 dimensions, the
     * upper half of the other 16.
     *
     * @param meta rows
     * @param q {@code [rows, 128, 576]}
     * @param packed what comes of it
     */
    public static void kPackQueries(KernelContext context, IntArray meta, FloatArray q, LongArray packed) {
        int count = meta.get(0) * 18432;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            int head = (i / 64) % 16 * 8 + i % 4 * 2;
            int d = (i % 18432) / 1024 * 32 + i / 4 % 16;
            int at = (i / 18432 * 128 + head) * 576 + d;
            long low = bf16Pair(q.get(at), q.get(at + 576));
            long high = bf16Pair(q.get(at + 16), q.get(at + 592));
            packed.set(LONG_LEAD + i, (high << 32) | (low & 0xffffffffL));
        }
    }

    /**
     * Weights {@code 2^(s - m)} of a row and 128 tokens a block, with {@code s = log2(e) scale (q . c)} and m the
     * tile's largest s rounded up. What no valid slot is has the weight 0, and so has a score that is no number.
     *
     * @param meta rows, k (a multiple of 128), slots of the cache
     * @param factors the softmax scale
     * @param slots {@code [rows, k]}
     * @param queries as {@link #kPackQueries} made them
     * @param latents {@code [slots, 288]}: pairs of bf16
     * @param weights {@code [rows, k / 32, 128, 8]} longs: of 32 tokens and a head, the bf16 of tokens i, i + 8, i + 16
     *     and i + 24, the lowest bits first
     * @param highest {@code [rows, k / 128, 128]}: m
     */
    public static void kWeights(
            KernelContext context,
            IntArray meta,
            FloatArray factors,
            IntArray slots,
            LongArray queries,
            IntArray latents,
            LongArray weights,
            FloatArray highest) {
        int[] left = context.allocateIntLocalArray(4096);
        int[] right = context.allocateIntLocalArray(4096);
        int[] tokens = context.allocateIntLocalArray(128);
        float[] parts = context.allocateFloatLocalArray(512);
        float[] tops = context.allocateFloatLocalArray(128);
        int thread = context.localIdx;
        int lane = thread & 31;
        int warp = thread >> 5;
        int k = meta.get(1);
        int row = context.groupIdx / (k / 128);
        int first = context.groupIdx * 128;
        if (thread < 128) {
            int slot = slots.get(first + thread);
            int valid = slot < meta.get(2) ? slot : -1;
            tokens[thread] = valid;
        }
        context.localBarrier();
        // steps of 32 dimensions: 16 threads a token, 16 tokens at a time; chunk i of four lies at i ^ (token / 2 % 4)
        int place = lane % 16;
        int fill = (thread >> 4) * 16 + ((place / 4) ^ (thread >> 5 & 3)) * 4 + place % 4;
        int source = LONG_LEAD + row * 18432 + thread;
        // blocks of rows that are not asked for do nothing and store behind the last one that is, all in the same place
        int kept = row < meta.get(0) ? first : meta.get(0) * k;
        int[] from = new int[8];
        int[] keys = new int[8];
        long[] asked = new long[4];
        for (int u = 0; u < 8; u++) {
            from[u] = Decode.LEAD + Math.max(tokens[16 * u + (thread >> 4)], 0) * 288 + place;
            keys[u] = latents.get(from[u]);
        }
        for (int u = 0; u < 4; u++) {
            asked[u] = queries.get(source + 256 * u);
        }
        // a warp has 32 tokens and 64 heads
        int group = warp >> 1;
        int leftRow = lane & 15;
        int leftHalf = (lane >> 4);
        int leftAt = (group * 32 + leftRow) * 64 - leftRow * 32 - leftHalf * 16;
        int step0 = leftAt + (leftHalf ^ (leftRow / 2 & 3)) * 16;
        int step1 = leftAt + ((2 + leftHalf) ^ (leftRow / 2 & 3)) * 16;
        int rightAt = (warp & 1) * 2048;
        float[] c00 = context.mmaFragment(0f);
        float[] c01 = context.mmaFragment(0f);
        float[] c02 = context.mmaFragment(0f);
        float[] c03 = context.mmaFragment(0f);
        float[] c04 = context.mmaFragment(0f);
        float[] c05 = context.mmaFragment(0f);
        float[] c06 = context.mmaFragment(0f);
        float[] c07 = context.mmaFragment(0f);
        float[] c10 = context.mmaFragment(0f);
        float[] c11 = context.mmaFragment(0f);
        float[] c12 = context.mmaFragment(0f);
        float[] c13 = context.mmaFragment(0f);
        float[] c14 = context.mmaFragment(0f);
        float[] c15 = context.mmaFragment(0f);
        float[] c16 = context.mmaFragment(0f);
        float[] c17 = context.mmaFragment(0f);
        int steps = row < meta.get(0) ? 18 : 0;
        for (int step = 0; step < steps; step++) {
            int half = (step & 1) * 2048;
            for (int u = 0; u < 8; u++) {
                left[half + fill + 256 * u] = keys[u];
            }
            for (int u = 0; u < 4; u++) {
                right[half + 256 * u + thread] = (int) asked[u];
                right[half + 256 * u + thread + 1024] = (int) (asked[u] >> 32);
            }
            // loads come before the barrier: what a thread waits for there is time for them too
            int next = Math.min(step + 1, 17);
            for (int u = 0; u < 8; u++) {
                keys[u] = latents.get(from[u] + next * 16);
            }
            for (int u = 0; u < 4; u++) {
                asked[u] = queries.get(source + next * 1024 + 256 * u);
            }
            context.localBarrier();
            int halfBytes = half * 4;
            // The masks change nothing, as no offset is negative or so large. They tell the compiler that an offset plus
            // a constant does not overflow: then it adds the constant to the address instead of computing it anew.
            int leftAt0 = halfBytes + step0 & 0xffff;
            int leftAt1 = halfBytes + step1 & 0xffff;
            int rightBytes = halfBytes + rightAt & 0xffff;
            HalfFloat[] a00 = context.mmaLoadA(left, 16, leftAt0);
            HalfFloat[] a01 = context.mmaLoadA(left, 16, leftAt0 + 1024);
            HalfFloat[] b00 = context.mmaLoadB(right, 16, rightBytes);
            HalfFloat[] b01 = context.mmaLoadB(right, 16, rightBytes + 256);
            HalfFloat[] b02 = context.mmaLoadB(right, 16, rightBytes + 512);
            c00 = context.mmaBF16(a00, b00, c00, MMAShape.M16N8K16);
            c10 = context.mmaBF16(a01, b00, c10, MMAShape.M16N8K16);
            HalfFloat[] b03 = context.mmaLoadB(right, 16, rightBytes + 768);
            c01 = context.mmaBF16(a00, b01, c01, MMAShape.M16N8K16);
            c11 = context.mmaBF16(a01, b01, c11, MMAShape.M16N8K16);
            HalfFloat[] b04 = context.mmaLoadB(right, 16, rightBytes + 1024);
            c02 = context.mmaBF16(a00, b02, c02, MMAShape.M16N8K16);
            c12 = context.mmaBF16(a01, b02, c12, MMAShape.M16N8K16);
            HalfFloat[] b05 = context.mmaLoadB(right, 16, rightBytes + 1280);
            c03 = context.mmaBF16(a00, b03, c03, MMAShape.M16N8K16);
            c13 = context.mmaBF16(a01, b03, c13, MMAShape.M16N8K16);
            HalfFloat[] b06 = context.mmaLoadB(right, 16, rightBytes + 1536);
            c04 = context.mmaBF16(a00, b04, c04, MMAShape.M16N8K16);
            c14 = context.mmaBF16(a01, b04, c14, MMAShape.M16N8K16);
            HalfFloat[] b07 = context.mmaLoadB(right, 16, rightBytes + 1792);
            c05 = context.mmaBF16(a00, b05, c05, MMAShape.M16N8K16);
            c15 = context.mmaBF16(a01, b05, c15, MMAShape.M16N8K16);
            c06 = context.mmaBF16(a00, b06, c06, MMAShape.M16N8K16);
            c16 = context.mmaBF16(a01, b06, c16, MMAShape.M16N8K16);
            c07 = context.mmaBF16(a00, b07, c07, MMAShape.M16N8K16);
            c17 = context.mmaBF16(a01, b07, c17, MMAShape.M16N8K16);
            HalfFloat[] a10 = context.mmaLoadA(left, 16, leftAt1);
            HalfFloat[] a11 = context.mmaLoadA(left, 16, leftAt1 + 1024);
            HalfFloat[] b10 = context.mmaLoadB(right, 16, rightBytes + 4096);
            HalfFloat[] b11 = context.mmaLoadB(right, 16, rightBytes + 4352);
            HalfFloat[] b12 = context.mmaLoadB(right, 16, rightBytes + 4608);
            c00 = context.mmaBF16(a10, b10, c00, MMAShape.M16N8K16);
            c10 = context.mmaBF16(a11, b10, c10, MMAShape.M16N8K16);
            HalfFloat[] b13 = context.mmaLoadB(right, 16, rightBytes + 4864);
            c01 = context.mmaBF16(a10, b11, c01, MMAShape.M16N8K16);
            c11 = context.mmaBF16(a11, b11, c11, MMAShape.M16N8K16);
            HalfFloat[] b14 = context.mmaLoadB(right, 16, rightBytes + 5120);
            c02 = context.mmaBF16(a10, b12, c02, MMAShape.M16N8K16);
            c12 = context.mmaBF16(a11, b12, c12, MMAShape.M16N8K16);
            HalfFloat[] b15 = context.mmaLoadB(right, 16, rightBytes + 5376);
            c03 = context.mmaBF16(a10, b13, c03, MMAShape.M16N8K16);
            c13 = context.mmaBF16(a11, b13, c13, MMAShape.M16N8K16);
            HalfFloat[] b16 = context.mmaLoadB(right, 16, rightBytes + 5632);
            c04 = context.mmaBF16(a10, b14, c04, MMAShape.M16N8K16);
            c14 = context.mmaBF16(a11, b14, c14, MMAShape.M16N8K16);
            HalfFloat[] b17 = context.mmaLoadB(right, 16, rightBytes + 5888);
            c05 = context.mmaBF16(a10, b15, c05, MMAShape.M16N8K16);
            c15 = context.mmaBF16(a11, b15, c15, MMAShape.M16N8K16);
            c06 = context.mmaBF16(a10, b16, c06, MMAShape.M16N8K16);
            c16 = context.mmaBF16(a11, b16, c16, MMAShape.M16N8K16);
            c07 = context.mmaBF16(a10, b17, c07, MMAShape.M16N8K16);
            c17 = context.mmaBF16(a11, b17, c17, MMAShape.M16N8K16);
        }
        int token = group * 32 + lane / 4;
        int head = (warp & 1) * 64 + lane % 4 * 2;
        float scale = factors.get(0) * LOG2_E;
        // [8 pairs of heads][4 tokens][2 heads]
        float[] scores = new float[64];
        ProductValues values = new ProductValues();
        values.read(context, c00);
        scores[0] = values.upperLeft() * scale;
        scores[1] = values.upperRight() * scale;
        scores[2] = values.lowerLeft() * scale;
        scores[3] = values.lowerRight() * scale;
        values.read(context, c10);
        scores[4] = values.upperLeft() * scale;
        scores[5] = values.upperRight() * scale;
        scores[6] = values.lowerLeft() * scale;
        scores[7] = values.lowerRight() * scale;
        values.read(context, c01);
        scores[8] = values.upperLeft() * scale;
        scores[9] = values.upperRight() * scale;
        scores[10] = values.lowerLeft() * scale;
        scores[11] = values.lowerRight() * scale;
        values.read(context, c11);
        scores[12] = values.upperLeft() * scale;
        scores[13] = values.upperRight() * scale;
        scores[14] = values.lowerLeft() * scale;
        scores[15] = values.lowerRight() * scale;
        values.read(context, c02);
        scores[16] = values.upperLeft() * scale;
        scores[17] = values.upperRight() * scale;
        scores[18] = values.lowerLeft() * scale;
        scores[19] = values.lowerRight() * scale;
        values.read(context, c12);
        scores[20] = values.upperLeft() * scale;
        scores[21] = values.upperRight() * scale;
        scores[22] = values.lowerLeft() * scale;
        scores[23] = values.lowerRight() * scale;
        values.read(context, c03);
        scores[24] = values.upperLeft() * scale;
        scores[25] = values.upperRight() * scale;
        scores[26] = values.lowerLeft() * scale;
        scores[27] = values.lowerRight() * scale;
        values.read(context, c13);
        scores[28] = values.upperLeft() * scale;
        scores[29] = values.upperRight() * scale;
        scores[30] = values.lowerLeft() * scale;
        scores[31] = values.lowerRight() * scale;
        values.read(context, c04);
        scores[32] = values.upperLeft() * scale;
        scores[33] = values.upperRight() * scale;
        scores[34] = values.lowerLeft() * scale;
        scores[35] = values.lowerRight() * scale;
        values.read(context, c14);
        scores[36] = values.upperLeft() * scale;
        scores[37] = values.upperRight() * scale;
        scores[38] = values.lowerLeft() * scale;
        scores[39] = values.lowerRight() * scale;
        values.read(context, c05);
        scores[40] = values.upperLeft() * scale;
        scores[41] = values.upperRight() * scale;
        scores[42] = values.lowerLeft() * scale;
        scores[43] = values.lowerRight() * scale;
        values.read(context, c15);
        scores[44] = values.upperLeft() * scale;
        scores[45] = values.upperRight() * scale;
        scores[46] = values.lowerLeft() * scale;
        scores[47] = values.lowerRight() * scale;
        values.read(context, c06);
        scores[48] = values.upperLeft() * scale;
        scores[49] = values.upperRight() * scale;
        scores[50] = values.lowerLeft() * scale;
        scores[51] = values.lowerRight() * scale;
        values.read(context, c16);
        scores[52] = values.upperLeft() * scale;
        scores[53] = values.upperRight() * scale;
        scores[54] = values.lowerLeft() * scale;
        scores[55] = values.lowerRight() * scale;
        values.read(context, c07);
        scores[56] = values.upperLeft() * scale;
        scores[57] = values.upperRight() * scale;
        scores[58] = values.lowerLeft() * scale;
        scores[59] = values.lowerRight() * scale;
        values.read(context, c17);
        scores[60] = values.upperLeft() * scale;
        scores[61] = values.upperRight() * scale;
        scores[62] = values.lowerLeft() * scale;
        scores[63] = values.lowerRight() * scale;
        float[] mine = new float[16];
        for (int i = 0; i < 8; i++) {
            // what lies where no token is may be NaN
            for (int t = 0; t < 4; t++) {
                boolean absent = tokens[token + 8 * t] < 0;
                scores[8 * i + 2 * t] = absent ? -1e30f : scores[8 * i + 2 * t];
                scores[8 * i + 2 * t + 1] = absent ? -1e30f : scores[8 * i + 2 * t + 1];
            }
        }
        for (int i = 0; i < 16; i++) {
            int at = i / 2 * 8 + i % 2;
            mine[i] = most(context, TornadoMath.max(
                    TornadoMath.max(scores[at], scores[at + 2]), TornadoMath.max(scores[at + 4], scores[at + 6])));
        }
        if (lane < 4) {
            for (int n = 0; n < 8; n++) {
                parts[group * 128 + head + 8 * n] = mine[2 * n];
                parts[group * 128 + head + 8 * n + 1] = mine[2 * n + 1];
            }
        }
        context.localBarrier();
        if (thread < 128) {
            float most = TornadoMath.max(
                    TornadoMath.max(parts[thread], parts[128 + thread]),
                    TornadoMath.max(parts[256 + thread], parts[384 + thread]));
            float bounded = TornadoMath.max(most, NOTHING);
            float truncated = (int) bounded;
            float up = truncated < bounded ? truncated + 1f : truncated;
            tops[thread] = up + 0.5f; // see weight
            highest.set(kept + thread, up);
        }
        context.localBarrier();
        int to = LONG_LEAD + (kept / 32 + group) * 1024 + head * 8 + lane / 4;
        for (int i = 0; i < 16; i++) {
            int at = i / 2 * 8 + i % 2;
            float top = tops[head + at];
            long low = weight(scores[at] - top) + weight(scores[at + 2] - top) * 65536;
            long high = weight(scores[at + 4] - top) + weight(scores[at + 6] - top) * 65536;
            weights.set(to + at * 8, (high << 32) + low);
        }
    }

    /**
     * The bits of a positive bf16: {@code 2^(x + 0.5)}, or 0. TornadoVM 5.2 leads from a float's bits to an int by some
     * twenty instructions alone. Exponents of bf16 count in steps of 128, so with n the whole number next to x and f
     * what is left the bits are {@code 128 (n + 127) + 128 (2^(f + 0.5) - 1)}, and the second term is a polynomial that
     * is right to 0.02. What is too small becomes negative, and then 0.
     */
    static int weight(float x) {
        float whole = (x + TO_WHOLE) - TO_WHOLE;
        float f = x - whole;
        float bits = whole * 128f + (((9.972117f * f + 43.916024f) * f + 125.496405f) * f + 16309.506f);
        return (int) TornadoMath.max(bits, 0f);
    }

    /** The largest of what the lanes of a head have, in the first four lanes. */
    private static float most(KernelContext context, float mine) {
        float of16 = TornadoMath.max(mine, context.simdShuffleDown(mine, 16));
        float of8 = TornadoMath.max(of16, context.simdShuffleDown(of16, 8));
        return TornadoMath.max(of8, context.simdShuffleDown(of8, 4));
    }

    /** Two numbers as bf16 in an int, the lower half first. */
    static int bf16Pair(float low, float high) {
        return ((upperHalf(low) >> 16) & 0xffff) | upperHalf(high);
    }

    /**
     * A number's bf16 in the upper half of an int. TornadoVM 5.2 computes in 16 bits with what comes from a fresh bf16,
     * except for a float.
     */
    private static int upperHalf(float value) {
        return (int) (BFloat16.bf16FromFloat(value) * 65536f);
    }
}
