package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;

/**
 * Products with bf16 weights on NVIDIA's tensor cores, as {@link MmaLinearKernels} makes them of FP8. Weights are taken as
 * they are, and a number of x is three that bf16 holds exactly ({@link SplitKernels#kSplitThree}).
 */
public final class MmaBf16LinearKernels {
    /** Bytes of local memory. */
    public static final int LOCAL_BYTES = (4096 + 3 * 1024 + MmaLinearKernels.ROWS + 1) * Integer.BYTES;

    private MmaBf16LinearKernels() {}

    /**
     * {@code out = x weight^T}.
     *
     * @param shape as {@link MmaLinearKernels#kProducts} has it
     * @param lists as there
     * @param active as there
     * @param split {@code [rows, 128 blocks]}
     * @param scales {@code [rows, blocks]}
     * @param ints two numbers each
     */
    public static void kBf16Products(
            KernelContext context,
            IntArray shape,
            int op,
            IntArray lists,
            IntArray active,
            LongArray split,
            FloatArray scales,
            IntArray ints,
            FloatArray out) {
        int[] tile = context.allocateIntLocalArray(4096);
        int[] right = context.allocateIntLocalArray(3072);
        float[] factors = context.allocateFloatLocalArray(16);
        int[] zero = context.allocateIntLocalArray(1);
        int thread = context.localIdx;
        int lane = thread & 31;
        int warp = thread / 32;
        int outputs = shape.get(op + 1);
        int blocks = shape.get(op + 2);
        int parts = shape.get(op + 3);
        int listed = shape.get(op + 4);
        int groups = listed > 0 ? active.get(0) : shape.get(op);
        int width = shape.get(op + 6);
        int units = shape.get(op + 14);
        int tiles = outputs / 64;
        int items = groups * tiles * parts;
        int leftRow = lane & 15;
        int leftHalf = lane / 16;
        int leftAt = warp * 4096 + leftRow * 256 - leftRow * 32 - leftHalf * 16;
        int flip = leftRow & 7;
        if (thread == 0) {
            zero[0] = listed >> 8;
        }
        context.localBarrier();
        // a thread brings the columns thread / 4 + 32 j of two neighbouring rows
        int column = thread / 4;
        int fill = column * 4 + thread % 4;
        for (int item = context.groupIdx; item < items; item += context.globalGroupSizeX / 128) {
            int number = item / (tiles * parts);
            int group = listed > 0 ? active.get(1 + number) : number;
            int first = item / parts % tiles * 64;
            int part = item % parts;
            int from = part * blocks / parts;
            int to = (part + 1) * blocks / parts;
            int start = listed > 0 ? lists.get(group) : 0;
            int end = lists.get(listed > 0 ? group + 1 : shape.get(op + 17));
            int weightRow = group * shape.get(op + 8) + shape.get(op + 9) + first;
            int codeAt = shape.get(op + 15) + (weightRow + warp * 16) * units + lane;
            // where there are many rows, weights are taken so many columns at a time that they stay in the second-level cache;
            // sums go on where they were, so that a row has the same bits alone
            int span = end - start > 16 ? 4 : Math.max(to - from, 1);
            int shared = (to - from + span - 1) / span;
            int turns = shared * ((end - start + 15) / 16);
            for (int turn = 0; turn < turns; turn++) {
                int begin = start + turn % ((end - start + 15) / 16) * 16;
                int near = from + turn / ((end - start + 15) / 16) * span;
                int far = Math.min(near + span, to);
                int count = Math.min(16, end - begin);
                int[] rows = new int[4];
                for (int i = 0; i < 4; i++) {
                    int entry = begin + Math.min(i / 2 * 8 + thread % 4 * 2 + i % 2, count - 1);
                    int row = shape.get(op + 5) > 0 ? lists.get(shape.get(op) + 1 + entry) : entry;
                    rows[i] = (row * width + group * shape.get(op + 7)) * 128 + column;
                }
                int laneEntry = begin + Math.min(lane, count - 1);
                int laneRow = shape.get(op + 5) > 0 ? lists.get(shape.get(op) + 1 + laneEntry) : laneEntry;
                int factorAt = laneRow * width + group * shape.get(op + 7);
                int stride = shape.get(op + 11);
                int target = shape.get(op + 10) + part * shape.get(op + 13) + group * shape.get(op + 12) + first
                        + warp * 16 + lane / 4 + begin * stride;
                float[] sums = new float[8];
                for (int i = 0; i < 8; i++) {
                    sums[i] = 0f;
                }
                if (near > from) {
                    for (int i = 0; i < 8; i++) {
                        int mine = Math.min(i / 4 * 8 + lane % 4 * 2 + i % 2, count - 1);
                        sums[i] = out.get(target + mine * stride + i % 4 / 2 * 8);
                    }
                }
                int[] codes = new int[32];
                for (int u = 0; u < 32; u++) {
                    codes[u] = ints.get(codeAt + u / 2 * units + near * 64 + u % 2 * 32);
                }
                ProductValues values = new ProductValues();
                for (int block = near; block < far; block++) {
                    int here = block * 128 + zero[0];
                    long[] numbers = new long[16];
                    for (int i = 0; i < 8; i++) {
                        numbers[i] = split.get(rows[i % 2] + here + i / 2 * 32);
                    }
                    if (count > 8) {
                        for (int i = 0; i < 8; i++) {
                            numbers[8 + i] = split.get(rows[2 + i % 2] + here + i / 2 * 32);
                        }
                    }
                    float factor = scales.get(factorAt + block);
                    context.localBarrier();
                    int chunk = lane / 4 + zero[0];
                    for (int u = 0; u < 32; u++) {
                        tile[warp * 1024 + lane % 4 + (chunk ^ (u / 2 & 7)) * 4 + u / 2 * 64 + u % 2 * 32] = codes[u];
                    }
                    for (int j = 0; j < 4; j++) {
                        long even = numbers[2 * j];
                        long odd = numbers[1 + 2 * j];
                        right[fill + j * 128] = ((int) even & 0xffff) | ((int) odd << 16);
                        right[fill + 1024 + j * 128] = (((int) even >> 16) & 0xffff) | ((int) odd & 0xffff0000);
                        right[fill + 2048 + j * 128] = ((int) (even >> 32) & 0xffff) | ((int) (odd >> 32) << 16);
                    }
                    if (count > 8) {
                        for (int j = 0; j < 4; j++) {
                            long even = numbers[8 + 2 * j];
                            long odd = numbers[9 + 2 * j];
                            right[fill + 512 + j * 128] = ((int) even & 0xffff) | ((int) odd << 16);
                            right[fill + 1536 + j * 128] = (((int) even >> 16) & 0xffff) | ((int) odd & 0xffff0000);
                            right[fill + 2560 + j * 128] = ((int) (even >> 32) & 0xffff) | ((int) (odd >> 32) << 16);
                        }
                    }
                    if (thread < 16) {
                        factors[lane] = factor;
                    }
                    int next = Math.min(block + 1, far - 1) * 64 + zero[0];
                    for (int u = 0; u < 32; u++) {
                        codes[u] = ints.get(codeAt + u / 2 * units + next + u % 2 * 32);
                    }
                    context.localBarrier();
                    int half = leftHalf + zero[0];
                    HalfFloat[] a0 = context.mmaLoadA(tile, 16, leftAt + ((0 + half) ^ flip) * 16);
                    HalfFloat[] a1 = context.mmaLoadA(tile, 16, leftAt + ((2 + half) ^ flip) * 16);
                    HalfFloat[] a2 = context.mmaLoadA(tile, 16, leftAt + ((4 + half) ^ flip) * 16);
                    HalfFloat[] a3 = context.mmaLoadA(tile, 16, leftAt + ((6 + half) ^ flip) * 16);
                    HalfFloat[] a4 = context.mmaLoadA(tile, 16, leftAt + ((8 + half) ^ flip) * 16);
                    HalfFloat[] a5 = context.mmaLoadA(tile, 16, leftAt + ((10 + half) ^ flip) * 16);
                    HalfFloat[] a6 = context.mmaLoadA(tile, 16, leftAt + ((12 + half) ^ flip) * 16);
                    HalfFloat[] a7 = context.mmaLoadA(tile, 16, leftAt + ((14 + half) ^ flip) * 16);
                    float[] high0 = context.mmaFragment(0f);
                    float[] middle0 = context.mmaFragment(0f);
                    float[] low0 = context.mmaFragment(0f);
                    HalfFloat[] h00 = context.mmaLoadB(right, 16, 0);
                    high0 = context.mmaBF16(a0, h00, high0, MMAShape.M16N8K16);
                    HalfFloat[] m00 = context.mmaLoadB(right, 16, 4096);
                    middle0 = context.mmaBF16(a0, m00, middle0, MMAShape.M16N8K16);
                    HalfFloat[] l00 = context.mmaLoadB(right, 16, 8192);
                    low0 = context.mmaBF16(a0, l00, low0, MMAShape.M16N8K16);
                    HalfFloat[] h01 = context.mmaLoadB(right, 16, 256);
                    high0 = context.mmaBF16(a1, h01, high0, MMAShape.M16N8K16);
                    HalfFloat[] m01 = context.mmaLoadB(right, 16, 4352);
                    middle0 = context.mmaBF16(a1, m01, middle0, MMAShape.M16N8K16);
                    HalfFloat[] l01 = context.mmaLoadB(right, 16, 8448);
                    low0 = context.mmaBF16(a1, l01, low0, MMAShape.M16N8K16);
                    HalfFloat[] h02 = context.mmaLoadB(right, 16, 512);
                    high0 = context.mmaBF16(a2, h02, high0, MMAShape.M16N8K16);
                    HalfFloat[] m02 = context.mmaLoadB(right, 16, 4608);
                    middle0 = context.mmaBF16(a2, m02, middle0, MMAShape.M16N8K16);
                    HalfFloat[] l02 = context.mmaLoadB(right, 16, 8704);
                    low0 = context.mmaBF16(a2, l02, low0, MMAShape.M16N8K16);
                    HalfFloat[] h03 = context.mmaLoadB(right, 16, 768);
                    high0 = context.mmaBF16(a3, h03, high0, MMAShape.M16N8K16);
                    HalfFloat[] m03 = context.mmaLoadB(right, 16, 4864);
                    middle0 = context.mmaBF16(a3, m03, middle0, MMAShape.M16N8K16);
                    HalfFloat[] l03 = context.mmaLoadB(right, 16, 8960);
                    low0 = context.mmaBF16(a3, l03, low0, MMAShape.M16N8K16);
                    HalfFloat[] h04 = context.mmaLoadB(right, 16, 1024);
                    high0 = context.mmaBF16(a4, h04, high0, MMAShape.M16N8K16);
                    HalfFloat[] m04 = context.mmaLoadB(right, 16, 5120);
                    middle0 = context.mmaBF16(a4, m04, middle0, MMAShape.M16N8K16);
                    HalfFloat[] l04 = context.mmaLoadB(right, 16, 9216);
                    low0 = context.mmaBF16(a4, l04, low0, MMAShape.M16N8K16);
                    HalfFloat[] h05 = context.mmaLoadB(right, 16, 1280);
                    high0 = context.mmaBF16(a5, h05, high0, MMAShape.M16N8K16);
                    HalfFloat[] m05 = context.mmaLoadB(right, 16, 5376);
                    middle0 = context.mmaBF16(a5, m05, middle0, MMAShape.M16N8K16);
                    HalfFloat[] l05 = context.mmaLoadB(right, 16, 9472);
                    low0 = context.mmaBF16(a5, l05, low0, MMAShape.M16N8K16);
                    HalfFloat[] h06 = context.mmaLoadB(right, 16, 1536);
                    high0 = context.mmaBF16(a6, h06, high0, MMAShape.M16N8K16);
                    HalfFloat[] m06 = context.mmaLoadB(right, 16, 5632);
                    middle0 = context.mmaBF16(a6, m06, middle0, MMAShape.M16N8K16);
                    HalfFloat[] l06 = context.mmaLoadB(right, 16, 9728);
                    low0 = context.mmaBF16(a6, l06, low0, MMAShape.M16N8K16);
                    HalfFloat[] h07 = context.mmaLoadB(right, 16, 1792);
                    high0 = context.mmaBF16(a7, h07, high0, MMAShape.M16N8K16);
                    HalfFloat[] m07 = context.mmaLoadB(right, 16, 5888);
                    middle0 = context.mmaBF16(a7, m07, middle0, MMAShape.M16N8K16);
                    HalfFloat[] l07 = context.mmaLoadB(right, 16, 9984);
                    low0 = context.mmaBF16(a7, l07, low0, MMAShape.M16N8K16);
                    float even0 = factors[lane % 4 * 2];
                    float odd0 = factors[1 + lane % 4 * 2];
                    values.read(context, high0);
                    float upperLeft0 = values.upperLeft() * 65536f;
                    float upperRight0 = values.upperRight() * 65536f;
                    float lowerLeft0 = values.lowerLeft() * 65536f;
                    float lowerRight0 = values.lowerRight() * 65536f;
                    values.read(context, middle0);
                    upperLeft0 += values.upperLeft() * 256f;
                    upperRight0 += values.upperRight() * 256f;
                    lowerLeft0 += values.lowerLeft() * 256f;
                    lowerRight0 += values.lowerRight() * 256f;
                    values.read(context, low0);
                    sums[0] += (upperLeft0 + values.upperLeft()) * even0;
                    sums[1] += (upperRight0 + values.upperRight()) * odd0;
                    sums[2] += (lowerLeft0 + values.lowerLeft()) * even0;
                    sums[3] += (lowerRight0 + values.lowerRight()) * odd0;
                    if (count > 8) {
                        float[] high1 = context.mmaFragment(0f);
                        float[] middle1 = context.mmaFragment(0f);
                        float[] low1 = context.mmaFragment(0f);
                        HalfFloat[] h10 = context.mmaLoadB(right, 16, 2048);
                        high1 = context.mmaBF16(a0, h10, high1, MMAShape.M16N8K16);
                        HalfFloat[] m10 = context.mmaLoadB(right, 16, 6144);
                        middle1 = context.mmaBF16(a0, m10, middle1, MMAShape.M16N8K16);
                        HalfFloat[] l10 = context.mmaLoadB(right, 16, 10240);
                        low1 = context.mmaBF16(a0, l10, low1, MMAShape.M16N8K16);
                        HalfFloat[] h11 = context.mmaLoadB(right, 16, 2304);
                        high1 = context.mmaBF16(a1, h11, high1, MMAShape.M16N8K16);
                        HalfFloat[] m11 = context.mmaLoadB(right, 16, 6400);
                        middle1 = context.mmaBF16(a1, m11, middle1, MMAShape.M16N8K16);
                        HalfFloat[] l11 = context.mmaLoadB(right, 16, 10496);
                        low1 = context.mmaBF16(a1, l11, low1, MMAShape.M16N8K16);
                        HalfFloat[] h12 = context.mmaLoadB(right, 16, 2560);
                        high1 = context.mmaBF16(a2, h12, high1, MMAShape.M16N8K16);
                        HalfFloat[] m12 = context.mmaLoadB(right, 16, 6656);
                        middle1 = context.mmaBF16(a2, m12, middle1, MMAShape.M16N8K16);
                        HalfFloat[] l12 = context.mmaLoadB(right, 16, 10752);
                        low1 = context.mmaBF16(a2, l12, low1, MMAShape.M16N8K16);
                        HalfFloat[] h13 = context.mmaLoadB(right, 16, 2816);
                        high1 = context.mmaBF16(a3, h13, high1, MMAShape.M16N8K16);
                        HalfFloat[] m13 = context.mmaLoadB(right, 16, 6912);
                        middle1 = context.mmaBF16(a3, m13, middle1, MMAShape.M16N8K16);
                        HalfFloat[] l13 = context.mmaLoadB(right, 16, 11008);
                        low1 = context.mmaBF16(a3, l13, low1, MMAShape.M16N8K16);
                        HalfFloat[] h14 = context.mmaLoadB(right, 16, 3072);
                        high1 = context.mmaBF16(a4, h14, high1, MMAShape.M16N8K16);
                        HalfFloat[] m14 = context.mmaLoadB(right, 16, 7168);
                        middle1 = context.mmaBF16(a4, m14, middle1, MMAShape.M16N8K16);
                        HalfFloat[] l14 = context.mmaLoadB(right, 16, 11264);
                        low1 = context.mmaBF16(a4, l14, low1, MMAShape.M16N8K16);
                        HalfFloat[] h15 = context.mmaLoadB(right, 16, 3328);
                        high1 = context.mmaBF16(a5, h15, high1, MMAShape.M16N8K16);
                        HalfFloat[] m15 = context.mmaLoadB(right, 16, 7424);
                        middle1 = context.mmaBF16(a5, m15, middle1, MMAShape.M16N8K16);
                        HalfFloat[] l15 = context.mmaLoadB(right, 16, 11520);
                        low1 = context.mmaBF16(a5, l15, low1, MMAShape.M16N8K16);
                        HalfFloat[] h16 = context.mmaLoadB(right, 16, 3584);
                        high1 = context.mmaBF16(a6, h16, high1, MMAShape.M16N8K16);
                        HalfFloat[] m16 = context.mmaLoadB(right, 16, 7680);
                        middle1 = context.mmaBF16(a6, m16, middle1, MMAShape.M16N8K16);
                        HalfFloat[] l16 = context.mmaLoadB(right, 16, 11776);
                        low1 = context.mmaBF16(a6, l16, low1, MMAShape.M16N8K16);
                        HalfFloat[] h17 = context.mmaLoadB(right, 16, 3840);
                        high1 = context.mmaBF16(a7, h17, high1, MMAShape.M16N8K16);
                        HalfFloat[] m17 = context.mmaLoadB(right, 16, 7936);
                        middle1 = context.mmaBF16(a7, m17, middle1, MMAShape.M16N8K16);
                        HalfFloat[] l17 = context.mmaLoadB(right, 16, 12032);
                        low1 = context.mmaBF16(a7, l17, low1, MMAShape.M16N8K16);
                        float even1 = factors[8 + lane % 4 * 2];
                        float odd1 = factors[9 + lane % 4 * 2];
                        values.read(context, high1);
                        float upperLeft1 = values.upperLeft() * 65536f;
                        float upperRight1 = values.upperRight() * 65536f;
                        float lowerLeft1 = values.lowerLeft() * 65536f;
                        float lowerRight1 = values.lowerRight() * 65536f;
                        values.read(context, middle1);
                        upperLeft1 += values.upperLeft() * 256f;
                        upperRight1 += values.upperRight() * 256f;
                        lowerLeft1 += values.lowerLeft() * 256f;
                        lowerRight1 += values.lowerRight() * 256f;
                        values.read(context, low1);
                        sums[4] += (upperLeft1 + values.upperLeft()) * even1;
                        sums[5] += (upperRight1 + values.upperRight()) * odd1;
                        sums[6] += (lowerLeft1 + values.lowerLeft()) * even1;
                        sums[7] += (lowerRight1 + values.lowerRight()) * odd1;
                    }
                }
                for (int i = 0; i < 8; i++) {
                    int mine = i / 4 * 8 + lane % 4 * 2 + i % 2;
                    if (mine < count) {
                        out.set(target + mine * stride + i % 4 / 2 * 8, sums[i]);
                    }
                }
            }
        }
    }
}
