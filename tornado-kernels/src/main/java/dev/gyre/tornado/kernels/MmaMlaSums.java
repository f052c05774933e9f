package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;

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
    public static final int LOCAL_BYTES = (4096 + 4352 + 2048 + 512 + 64 + 128) * Integer.BYTES;

    /** Tokens whose slots local memory has room for. */
    private static final int LONGEST_RUN = 2048;
    /** Tokens below which a block is mostly beginning and end. */
    private static final int SHORTEST_RUN = 256;
    /** What keeps a large device busy. */
    private static final int MANY_BLOCKS = 256;

    private MmaMlaSums() {}

    /**
     * {@code sum of weight * c[:512]} for a row, a run of its tokens and 128 of the 512 dimensions a block. Where a row
     * is one run, over the sum of weights, and 0 for a row without a valid token; else {@link #kDivide} adds runs up.
     *
     * @param meta rows, k (a multiple of 128), slots of the cache, tokens of a run (a multiple of 128, and
     *     2048 at most), runs
     * @param slots {@code [rows, k]}
     * @param weights as {@link MmaMlaKernels#kWeights} made them, and so
     * @param highest {@code [rows, k / 128, 128]}
     * @param latents {@code [slots, 288]}: pairs of bf16
     * @param totals {@code [rows, runs, 128]}: the sums of weights
     * @param out {@code [rows, runs, 128, 512]}
     */
    public static void kSums(
            KernelContext context,
            IntArray meta,
            IntArray slots,
            LongArray weights,
            FloatArray highest,
            IntArray latents,
            FloatArray totals,
            FloatArray out) {
        int[] left = context.allocateIntLocalArray(4096);
        int[] right = context.allocateIntLocalArray(4352);
        int[] tokens = context.allocateIntLocalArray(2048);
        int[] below = context.allocateIntLocalArray(512);
        int[] ones = context.allocateIntLocalArray(64);
        float[] tops = context.allocateFloatLocalArray(128);
        int thread = context.localIdx;
        int lane = thread & 31;
        int warp = thread >> 5;
        int k = meta.get(1);
        int limit = meta.get(2);
        int runs = meta.get(4);
        int part = context.groupIdx / 4;
        int column = context.groupIdx % 4;
        int row = part / runs;
        int begin = row * k + part % runs * meta.get(3);
        int count = Math.min(row * k + k - begin, meta.get(3));
        if (thread < 128) {
            float top = MmaMlaKernels.NOTHING;
            for (int at = row * k + thread; at < row * k + k; at += 128) {
                top = TornadoMath.max(top, highest.get(at));
            }
            tops[thread] = top;
        }
        if (thread < 64) {
            ones[thread] = 0x3f803f80;
        }
        context.localBarrier();
        // Where the run's latents begin, and how far its tiles are below the row's maximum. What no slot is has the
        // weight 0, and instead of a latent that might be NaN one of the run: without a case in the loop.
        int highestSlot = -1;
        for (int t = thread; t < count; t += 256) {
            int slot = slots.get(begin + t);
            tokens[t] = slot < limit ? slot : -1;
            highestSlot = Math.max(highestSlot, tokens[t]);
        }
        left[thread] = highestSlot;
        for (int i = thread; i < 512; i += 256) {
            below[i] = distances(highest, begin + i / 128 * 512 + i % 128, begin + count, tops[i % 128]);
        }
        context.localBarrier();
        if (thread < 16) {
            for (int i = 1; i < 16; i++) {
                highestSlot = Math.max(highestSlot, left[thread + 16 * i]);
            }
            left[thread] = highestSlot;
        }
        context.localBarrier();
        int any = -1;
        for (int i = 0; i < 16; i++) {
            any = Math.max(any, left[i]);
        }
        for (int t = thread; t < count; t += 256) {
            tokens[t] = (tokens[t] < 0 ? any : tokens[t]) * 288;
        }
        context.localBarrier();
        // Steps of 32 tokens. A warp reads half a row of a token at a time, tokens four apart. Rows of a right tile are
        // 68 ints apart, so that eight of them are in different banks, and come in the order 0, 8, 1, 9, ... of tokens.
        int mine = warp >> 1;
        int place = (warp & 1) * 32 + lane;
        int source = Decode.LEAD + column * 64 + place;
        int fill = mine * 136 + place;
        int from = MmaMlaKernels.LONG_LEAD + begin * 32 + thread;
        int fillLeft = thread ^ ((thread >> 3) & 4);
        int[] rows = new int[8];
        long[] asked = new long[4];
        for (int u = 0; u < 8; u++) {
            rows[u] = latents.get(source + Math.max(tokens[mine + 4 * u], 0));
        }
        for (int u = 0; u < 4; u++) {
            asked[u] = weights.get(from + 256 * u);
        }
        // a warp has 32 heads and 64 dimensions
        int group = warp >> 1;
        int leftRow = lane & 15;
        int leftHalf = lane >> 4;
        int leftAt = (group * 32 + leftRow) * 32 + (leftHalf ^ (leftRow / 4 & 1)) * 16 - leftRow * 32 - leftHalf * 16;
        int rightAt = leftRow * 272 + (warp & 1) * 128 - (lane & 7) * 16 - (lane >> 3 & 1) * 128;
        // every column of this product is the sum of weights
        HalfFloat[] b1 = context.mmaLoadB(ones, 16, 0);
        float[] c08 = context.mmaFragment(0f);
        float[] c18 = context.mmaFragment(0f);
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
        int steps = any < 0 ? 0 : row < meta.get(0) ? count / 32 : 0;
        for (int step = 0; step < steps; step++) {
            int half = (step & 1) * 2048;
            int belowAt = (step >> 4) * 128 + (thread >> 3);
            int shift = (step >> 2 & 3) * 8;
            for (int u = 0; u < 4; u++) {
                int less = (below[belowAt + u * 32] >> shift & 255) << 7;
                left[half + 256 * u + fillLeft] = lower((int) asked[u], less);
                left[half + 256 * u + 1024 + fillLeft] = lower((int) (asked[u] >> 32), less);
            }
            int rightHalf = (step & 1) * 2176;
            for (int u = 0; u < 8; u++) {
                right[rightHalf + fill + (u / 4 * 16 + u % 2 * 8 + u / 2 % 2) * 68] = rows[u];
            }
            int next = Math.min(step + 1, steps - 1);
            for (int u = 0; u < 8; u++) {
                rows[u] = latents.get(source + tokens[next * 32 + mine + 4 * u]);
            }
            for (int u = 0; u < 4; u++) {
                asked[u] = weights.get(from + next * 1024 + 256 * u);
            }
            context.localBarrier();
            int leftBytes = half * 4 + leftAt;
            int rightBytes = rightHalf * 4 + rightAt & 0xffff; // see MmaMlaKernels
            HalfFloat[] a00 = context.mmaLoadA(left, 16, leftBytes);
            HalfFloat[] a01 = context.mmaLoadA(left, 16, leftBytes + 512);
            HalfFloat[] b00 = context.mmaLoadB(right, 16, rightBytes);
            HalfFloat[] b01 = context.mmaLoadB(right, 16, rightBytes + 16);
            HalfFloat[] b02 = context.mmaLoadB(right, 16, rightBytes + 32);
            c08 = context.mmaBF16(a00, b1, c08, MMAShape.M16N8K16);
            c18 = context.mmaBF16(a01, b1, c18, MMAShape.M16N8K16);
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
            c08 = context.mmaBF16(a10, b1, c08, MMAShape.M16N8K16);
            c18 = context.mmaBF16(a11, b1, c18, MMAShape.M16N8K16);
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
        // as in MmaMlaKernels
        int kept = row < meta.get(0) ? part : meta.get(0) * runs;
        int head = group * 32 + lane / 4;
        int to = (kept * 128 + head) * 512 + column * 128 + (warp & 1) * 64 + lane % 4 * 2;
        ProductValues values = new ProductValues();
        values.read(context, c08);
        float total0 = values.upperLeft();
        float total1 = values.lowerLeft();
        values.read(context, c18);
        float total2 = values.upperLeft();
        float total3 = values.lowerLeft();
        if (column + (warp & 1) + lane % 4 == 0) {
            totals.set(kept * 128 + head, total0);
            totals.set(kept * 128 + head + 8, total1);
            totals.set(kept * 128 + head + 16, total2);
            totals.set(kept * 128 + head + 24, total3);
        }
        float share0 = share(runs, total0);
        float share1 = share(runs, total1);
        float share2 = share(runs, total2);
        float share3 = share(runs, total3);
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

    /** What {@link #kSums} multiplies with. */
    private static float share(int runs, float total) {
        return runs > 1 ? 1f : total > 0f ? 1f / total : 0f;
    }

    /**
     * Adds up the runs of a row and divides by the sum of weights; an element a thread.
     *
     * @param meta rows, then three ints that this one does not read, runs
     * @param totals {@code [rows, runs, 128]}
     * @param parts {@code [rows, runs, 128, 512]}
     * @param out {@code [rows, 128, 512]}
     */
    public static void kDivide(
            KernelContext context, IntArray meta, FloatArray totals, FloatArray parts, FloatArray out) {
        int count = meta.get(0) * 65536;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            int runs = meta.get(4);
            int part = i / 65536 * runs;
            float total = 0f;
            float sum = 0f;
            for (int run = 0; run < runs; run++) {
                total += totals.get((part + run) * 128 + i % 65536 / 512);
                sum += parts.get((part + run) * 65536 + i % 65536);
            }
            // a row's only run is divided already
            float divisor = runs > 1 ? total : 1f;
            out.set(i, total > 0f ? sum / divisor : 0f);
        }
    }

    /**
     * Tokens of a run, as {@link #kSums} wants them: as many as local memory has room for, and fewer where there are so
     * few rows that only a part of a device's multiprocessors would have a block.
     *
     * @param k tokens of a row, a multiple of 128
     */
    public static int runTokens(int rows, int k) {
        int most = Math.ceilDiv(k, SHORTEST_RUN);
        int runs = Math.max(Math.ceilDiv(k, LONGEST_RUN), Math.min(most, MANY_BLOCKS / (rows * COLUMNS)));
        return Math.ceilDiv(k, runs * MmaMlaKernels.TILE) * MmaMlaKernels.TILE;
    }

    /** Runs of a row. */
    public static int runs(int rows, int k) {
        return Math.ceilDiv(k, runTokens(rows, k));
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
        return (Math.max(pair - (less << 16), 0) & 0xffff0000) | Math.max((pair & 0xffff) - less, 0);
    }

    private static void store(FloatArray out, int at, ProductValues values, float upper, float lower) {
        out.set(at, values.upperLeft() * upper);
        out.set(at + 1, values.upperRight() * upper);
        out.set(at + 4096, values.lowerLeft() * lower);
        out.set(at + 4097, values.lowerRight() * lower);
    }
}
