package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Sparse absorbed MLA on NVIDIA's tensor cores, second half: the weighted sums of latents, with the weights that
 * {@link MmaMlaKernels#kWeights} made tile by tile. What each tile is below its row's maximum is subtracted from the
 * exponents when weights are copied to local memory.
 */
public final class MmaMlaSums {
    /** Threads of a block. */
    public static final int THREADS = 256;
    /** Blocks that share a row, 128 dimensions each. */
    public static final int COLUMNS = MmaMlaKernels.LATENT / 128;
    /** Bytes of local memory of {@link #kSums}. */
    public static final int LOCAL_BYTES = (4096 + 4352 + 2048 + 1024 + 128 + 128) * Integer.BYTES;

    private static final float LN_2 = 0.6931471805599453f;

    private MmaMlaSums() {}

    /**
     * {@code sum of weight * c[:512]} over the sum of weights, for a row and 128 of the 512 dimensions a block; 0 for a
     * row without a valid token.
     *
     * @param meta rows (not read), k (a multiple of 128), slots of the cache, 0: see the comment at its use
     * @param slots {@code [rows, k]}
     * @param weights as {@link MmaMlaKernels#kWeights} made them, and so
     * @param highest {@code [rows, k / 128, 128]} and
     * @param sums {@code [rows, k / 128, 128]}
     * @param latents {@code [slots, 288]}: pairs of bf16
     * @param out {@code [rows, 128, 512]}
     */
    public static void kSums(
            KernelContext context,
            IntArray meta,
            IntArray slots,
            IntArray weights,
            FloatArray highest,
            FloatArray sums,
            IntArray latents,
            FloatArray out) {
        int[] left = context.allocateIntLocalArray(4096);
        int[] right = context.allocateIntLocalArray(4352);
        int[] tokens = context.allocateIntLocalArray(2048);
        int[] below = context.allocateIntLocalArray(1024);
        float[] tops = context.allocateFloatLocalArray(128);
        float[] shares = context.allocateFloatLocalArray(128);
        int thread = context.localIdx;
        int lane = thread & 31;
        int warp = thread / 32;
        int k = meta.get(1);
        int limit = meta.get(2);
        int row = context.groupIdx / 4;
        int column = context.groupIdx % 4;
        if (thread < 128) {
            float top = MmaMlaKernels.NOTHING;
            for (int at = row * k + thread; at < row * k + k; at += 128) {
                top = TornadoMath.max(top, highest.get(at));
            }
            float sum = 0f;
            for (int at = row * k + thread; at < row * k + k; at += 128) {
                sum += sums.get(at) * TornadoMath.exp((highest.get(at) - top) * LN_2);
            }
            tops[thread] = top;
            shares[thread] = sum > 0f ? 1f / sum : 0f;
        }
        context.localBarrier();
        // of 2048 tokens at a time: their slots, and how far their tiles are below the row's maximum (of 4096)
        for (int t = thread; t < Math.min(k, 2048); t += 256) {
            tokens[t] = slotOrNone(slots, row * k + t, limit);
        }
        for (int i = thread; i < 512; i += 256) {
            below[i] = distances(highest, row * k + i / 128 * 512 + i % 128, row * k + k, tops[i % 128]);
        }
        context.localBarrier();
        // Steps of 32 tokens. A warp reads half a row of a token at a time, tokens four apart. Rows of a right tile are
        // 68 ints apart, so that eight of them are in different banks, and come in the order 0, 8, 1, 9, ... of tokens.
        int mine = warp / 2;
        int place = (warp & 1) * 32 + lane;
        int source = Decode.LEAD + column * 64 + place;
        int fill = mine * 136 + place;
        int from = Decode.LEAD + row * k * 64 + thread;
        int fillLeft = thread ^ ((thread >> 3) & 4);
        int[] rows = new int[8];
        int[] asked = new int[8];
        for (int u = 0; u < 8; u++) {
            int slot = tokens[mine + 4 * u];
            rows[u] = slot >= 0 ? latents.get(source + slot * 288) : 0;
            asked[u] = weights.get(from + 256 * u);
        }
        // a warp has 32 heads and 64 dimensions
        int group = warp / 2;
        int leftRow = lane & 15;
        int leftHalf = lane / 16;
        int leftAt = (group * 32 + leftRow) * 32 + (leftHalf ^ (leftRow / 4 & 1)) * 16 - leftRow * 32 - leftHalf * 16;
        int rightAt = leftRow * 272 + (warp & 1) * 128 - (lane & 7) * 16 - (lane >> 3 & 1) * 128;
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
        int steps = k / 32;
        for (int step = 0; step < steps; step++) {
            int half = (step & 1) * 2048;
            int belowAt = (step >> 4 & 7) * 128 + thread / 8;
            int shift = (step >> 2 & 3) * 8;
            for (int u = 0; u < 4; u++) {
                int less = (below[belowAt + u * 32] >> shift & 255) << 7;
                left[half + 256 * u + fillLeft] = lower(asked[u], less);
                left[half + 256 * u + 1024 + fillLeft] = lower(asked[u + 4], less);
            }
            int rightHalf = (step & 1) * 2176;
            for (int u = 0; u < 8; u++) {
                right[rightHalf + fill + (u / 4 * 16 + u % 2 * 8 + u / 2 % 2) * 68] = rows[u];
            }
            int next = Math.min(step + 1, steps - 1);
            for (int u = 0; u < 8; u++) {
                int slot = tokens[(next & 63) * 32 + mine + 4 * u];
                rows[u] = slot >= 0 ? latents.get(source + slot * 288) : 0;
                asked[u] = weights.get(from + next * 2048 + 256 * u);
            }
            context.localBarrier();
            // the step after the next one may begin other 2048 tokens; the slots of this one and the next are read
            int after = step + 2;
            if ((after & 63) == 0) {
                int first = row * k + after * 32;
                for (int t = thread; t < Math.min(k - after * 32, 2048); t += 256) {
                    tokens[t] = slotOrNone(slots, first + t, limit);
                }
                for (int i = thread; i < 512; i += 256) {
                    below[(after >> 4 & 4) * 128 + i] = distances(
                            highest, first + i / 128 * 512 + i % 128, row * k + k, tops[i % 128]);
                }
                context.localBarrier();
            }
            // read anew in every step, or the compiler keeps all addresses in registers
            int zero = meta.get(3);
            int leftBytes = half * 4 + leftAt + zero;
            int rightBytes = rightHalf * 4 + rightAt + zero;
            HalfFloat[] a00 = context.mmaLoadA(left, 16, leftBytes);
            HalfFloat[] a01 = context.mmaLoadA(left, 16, leftBytes + 512);
            HalfFloat[] b00 = context.mmaLoadB(right, 16, rightBytes);
            HalfFloat[] b01 = context.mmaLoadB(right, 16, rightBytes + 16);
            HalfFloat[] b02 = context.mmaLoadB(right, 16, rightBytes + 32);
            c00 = context.mmaBF16(a00, b00, c00, MMAShape.M16N8K16);
            c10 = context.mmaBF16(a01, b00, c10, MMAShape.M16N8K16);
            HalfFloat[] b03 = context.mmaLoadB(right, 16, rightBytes + 48);
            c01 = context.mmaBF16(a00, b01, c01, MMAShape.M16N8K16);
            c11 = context.mmaBF16(a01, b01, c11, MMAShape.M16N8K16);
            HalfFloat[] b04 = context.mmaLoadB(right, 16, rightBytes + 64);
            c02 = context.mmaBF16(a00, b02, c02, MMAShape.M16N8K16);
            c12 = context.mmaBF16(a01, b02, c12, MMAShape.M16N8K16);
            HalfFloat[] b05 = context.mmaLoadB(right, 16, rightBytes + 80);
            c03 = context.mmaBF16(a00, b03, c03, MMAShape.M16N8K16);
            c13 = context.mmaBF16(a01, b03, c13, MMAShape.M16N8K16);
            HalfFloat[] b06 = context.mmaLoadB(right, 16, rightBytes + 96);
            c04 = context.mmaBF16(a00, b04, c04, MMAShape.M16N8K16);
            c14 = context.mmaBF16(a01, b04, c14, MMAShape.M16N8K16);
            HalfFloat[] b07 = context.mmaLoadB(right, 16, rightBytes + 112);
            c05 = context.mmaBF16(a00, b05, c05, MMAShape.M16N8K16);
            c15 = context.mmaBF16(a01, b05, c15, MMAShape.M16N8K16);
            c06 = context.mmaBF16(a00, b06, c06, MMAShape.M16N8K16);
            c16 = context.mmaBF16(a01, b06, c16, MMAShape.M16N8K16);
            c07 = context.mmaBF16(a00, b07, c07, MMAShape.M16N8K16);
            c17 = context.mmaBF16(a01, b07, c17, MMAShape.M16N8K16);
            HalfFloat[] a10 = context.mmaLoadA(left, 16, leftBytes + 4096);
            HalfFloat[] a11 = context.mmaLoadA(left, 16, leftBytes + 4608);
            HalfFloat[] b10 = context.mmaLoadB(right, 16, rightBytes + 4352);
            HalfFloat[] b11 = context.mmaLoadB(right, 16, rightBytes + 4368);
            HalfFloat[] b12 = context.mmaLoadB(right, 16, rightBytes + 4384);
            c00 = context.mmaBF16(a10, b10, c00, MMAShape.M16N8K16);
            c10 = context.mmaBF16(a11, b10, c10, MMAShape.M16N8K16);
            HalfFloat[] b13 = context.mmaLoadB(right, 16, rightBytes + 4400);
            c01 = context.mmaBF16(a10, b11, c01, MMAShape.M16N8K16);
            c11 = context.mmaBF16(a11, b11, c11, MMAShape.M16N8K16);
            HalfFloat[] b14 = context.mmaLoadB(right, 16, rightBytes + 4416);
            c02 = context.mmaBF16(a10, b12, c02, MMAShape.M16N8K16);
            c12 = context.mmaBF16(a11, b12, c12, MMAShape.M16N8K16);
            HalfFloat[] b15 = context.mmaLoadB(right, 16, rightBytes + 4432);
            c03 = context.mmaBF16(a10, b13, c03, MMAShape.M16N8K16);
            c13 = context.mmaBF16(a11, b13, c13, MMAShape.M16N8K16);
            HalfFloat[] b16 = context.mmaLoadB(right, 16, rightBytes + 4448);
            c04 = context.mmaBF16(a10, b14, c04, MMAShape.M16N8K16);
            c14 = context.mmaBF16(a11, b14, c14, MMAShape.M16N8K16);
            HalfFloat[] b17 = context.mmaLoadB(right, 16, rightBytes + 4464);
            c05 = context.mmaBF16(a10, b15, c05, MMAShape.M16N8K16);
            c15 = context.mmaBF16(a11, b15, c15, MMAShape.M16N8K16);
            c06 = context.mmaBF16(a10, b16, c06, MMAShape.M16N8K16);
            c16 = context.mmaBF16(a11, b16, c16, MMAShape.M16N8K16);
            c07 = context.mmaBF16(a10, b17, c07, MMAShape.M16N8K16);
            c17 = context.mmaBF16(a11, b17, c17, MMAShape.M16N8K16);
        }
        int head = group * 32 + lane / 4;
        int to = (row * 128 + head) * 512 + column * 128 + warp % 2 * 64 + lane % 4 * 2;
        float share0 = shares[head];
        float share1 = shares[head + 8];
        float share2 = shares[head + 16];
        float share3 = shares[head + 24];
        ProductValues values = new ProductValues();
        values.read(context, c00);
        store(out, to, values, share0, share1);
        values.read(context, c01);
        store(out, to + 8, values, share0, share1);
        values.read(context, c02);
        store(out, to + 16, values, share0, share1);
        values.read(context, c03);
        store(out, to + 24, values, share0, share1);
        values.read(context, c04);
        store(out, to + 32, values, share0, share1);
        values.read(context, c05);
        store(out, to + 40, values, share0, share1);
        values.read(context, c06);
        store(out, to + 48, values, share0, share1);
        values.read(context, c07);
        store(out, to + 56, values, share0, share1);
        values.read(context, c10);
        store(out, to + 8192, values, share2, share3);
        values.read(context, c11);
        store(out, to + 8200, values, share2, share3);
        values.read(context, c12);
        store(out, to + 8208, values, share2, share3);
        values.read(context, c13);
        store(out, to + 8216, values, share2, share3);
        values.read(context, c14);
        store(out, to + 8224, values, share2, share3);
        values.read(context, c15);
        store(out, to + 8232, values, share2, share3);
        values.read(context, c16);
        store(out, to + 8240, values, share2, share3);
        values.read(context, c17);
        store(out, to + 8248, values, share2, share3);
    }

    /** A slot, or -1 where it is none of the cache. */
    private static int slotOrNone(IntArray slots, int at, int limit) {
        int slot = slots.get(at);
        return slot < limit ? slot : -1;
    }

    /** How far the maxima of four tiles (less, before {@code end}) are below a head's: powers of two, a byte each. */
    private static int distances(FloatArray highest, int at, int end, float top) {
        int bytes = 0;
        for (int t = 0; t < 4; t++) {
            int tile = at + 128 * t;
            float distance = tile < end ? TornadoMath.min(top - highest.get(tile), 255f) : 0f;
            bytes = bytes | ((int) distance) << (8 * t);
        }
        return bytes;
    }

    /** Two positive bf16 times 2^-n, with n in the place of an exponent; what becomes too small is 0. */
    private static int lower(int pair, int less) {
        return Math.max((pair & 0xffff) - less, 0) | Math.max((pair >> 16) - less, 0) << 16;
    }

    private static void store(FloatArray out, int at, ProductValues values, float upper, float lower) {
        out.set(at, values.upperLeft() * upper);
        out.set(at + 1, values.upperRight() * upper);
        out.set(at + 4096, values.lowerLeft() * lower);
        out.set(at + 4097, values.lowerRight() * lower);
    }
}
