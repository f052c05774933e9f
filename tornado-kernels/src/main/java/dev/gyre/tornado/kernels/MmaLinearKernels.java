package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Products with FP8 weights on NVIDIA's tensor cores, for one row as for many: of a layer, of a head, or of the rows of
 * every expert. Rows come in halves ({@link SplitKernels}), weights become f16 exactly as keys do in {@link
 * MmaScoreKernels}, and products of 128 columns are scaled and added up in f32, so what is lost is what f32 loses.
 *
 * <p>A block makes 64 outputs for up to 16 rows; its four warps have 16 outputs each. It goes through 128 columns at a
 * time: the weights' codes of the next ones are on their way while products are made. Columns may be shared out among
 * blocks, whose sums are then parts of a product. Which sums are made in which order depends on the weight alone, so a
 * row has the same bits alone and in a batch.
 */
public final class MmaLinearKernels {
    /** Threads of a block. */
    public static final int BLOCK = 128;
    /** Outputs of a block. */
    public static final int OUTPUTS = 64;
    /** Rows that a block serves at once. */
    public static final int ROWS = 16;
    /** Columns of a step, which share a scale. */
    public static final int COLUMNS = 128;
    /** Bytes of local memory. */
    public static final int LOCAL_BYTES = (4096 + 2048 + ROWS + 1) * Integer.BYTES;

    private MmaLinearKernels() {}

    /**
     * {@code out = x weight^T} for groups of outputs: one, the heads of a layer, or the experts that have rows.
     *
     * @param shape groups, outputs of a group (a multiple of 64), blocks of 128 columns, parts that columns are shared out
     *     in, 1 where every group has a list of rows of its own, 1 where x has the rows that the list names and 0 where it
     *     has a row for each of the list's entries, blocks of a row of x, blocks of x from one group to the next, rows of the
     *     weight from one group to the next, first row of a group, begin of out, stride of out, columns of out from one
     *     group to the next, elements of a part, ints of a row of the weight, where the weight begins, where its scales begin,
     *     and for groups without lists the place in lists of the rows' number
     * @param lists where each group's rows begin, and the rows; or the numbers of a step
     * @param active how many groups have rows, and which; of groups that have lists
     * @param split {@code [rows, 128 blocks]}
     * @param scales {@code [rows, blocks]}
     * @param ints four codes each
     */
    public static void kProducts(
            KernelContext context,
            IntArray shape,
            int op,
            IntArray lists,
            IntArray active,
            IntArray split,
            FloatArray scales,
            IntArray ints,
            FloatArray floats,
            FloatArray out) {
        int[] tile = context.allocateIntLocalArray(4096);
        int[] right = context.allocateIntLocalArray(2048);
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
        // a thread brings the columns thread / 4 + 32 j of two neighbouring rows, in the order 0, 2, 1, 3 of every four
        int column = thread / 4;
        int fill = (column - column % 4 + column % 2 * 2 + column % 4 / 2) * 4 + thread % 4;
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
            int scaleAt = shape.get(op + 16) + weightRow / 128 * blocks;
            // where there are many rows, weights are taken so many columns at a time that they stay in the second-level cache;
            // sums go on where they were, so that a row has the same bits alone
            int span = end - start > 16 ? 8 : Math.max(to - from, 1);
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
                int[] codes = new int[16];
                for (int u = 0; u < 16; u++) {
                    codes[u] = ints.get(codeAt + u * units + near * 32);
                }
                ProductValues values = new ProductValues();
                for (int block = near; block < far; block++) {
                    int here = block * 128 + zero[0];
                    int[] numbers = new int[16];
                    for (int i = 0; i < 8; i++) {
                        numbers[i] = split.get(rows[i % 2] + here + i / 2 * 32);
                    }
                    if (count > 8) {
                        for (int i = 0; i < 8; i++) {
                            numbers[8 + i] = split.get(rows[2 + i % 2] + here + i / 2 * 32);
                        }
                    }
                    float factor = scales.get(factorAt + block);
                    float weightScale = floats.get(scaleAt + block) * 256f;
                    context.localBarrier();
                    int chunk = lane / 2 + zero[0];
                    for (int u = 0; u < 16; u++) {
                        int at = warp * 1024 + lane % 2 * 2 + (chunk ^ (u & 7)) * 4 + u * 64;
                        tile[at] = Decode.evenHalves(codes[u]);
                        tile[at + 1] = Decode.oddHalves(codes[u]);
                    }
                    for (int j = 0; j < 4; j++) {
                        int even = numbers[2 * j];
                        int odd = numbers[1 + 2 * j];
                        right[fill + j * 128] = (even & 0xffff) | (odd << 16);
                        right[fill + 1024 + j * 128] = ((even >> 16) & 0xffff) | (odd & 0xffff0000);
                    }
                    if (count > 8) {
                        for (int j = 0; j < 4; j++) {
                            int even = numbers[8 + 2 * j];
                            int odd = numbers[9 + 2 * j];
                            right[fill + 512 + j * 128] = (even & 0xffff) | (odd << 16);
                            right[fill + 1536 + j * 128] = ((even >> 16) & 0xffff) | (odd & 0xffff0000);
                        }
                    }
                    if (thread < 16) {
                        factors[lane] = factor;
                    }
                    int next = Math.min(block + 1, far - 1) * 32 + zero[0];
                    for (int u = 0; u < 16; u++) {
                        codes[u] = ints.get(codeAt + u * units + next);
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
                    float[] low0 = context.mmaFragment(0f);
                    HalfFloat[] h00 = context.mmaLoadB(right, 16, 0);
                    high0 = context.mma(a0, h00, high0, MMAShape.M16N8K16);
                    HalfFloat[] l00 = context.mmaLoadB(right, 16, 4096);
                    low0 = context.mma(a0, l00, low0, MMAShape.M16N8K16);
                    HalfFloat[] h01 = context.mmaLoadB(right, 16, 256);
                    high0 = context.mma(a1, h01, high0, MMAShape.M16N8K16);
                    HalfFloat[] l01 = context.mmaLoadB(right, 16, 4352);
                    low0 = context.mma(a1, l01, low0, MMAShape.M16N8K16);
                    HalfFloat[] h02 = context.mmaLoadB(right, 16, 512);
                    high0 = context.mma(a2, h02, high0, MMAShape.M16N8K16);
                    HalfFloat[] l02 = context.mmaLoadB(right, 16, 4608);
                    low0 = context.mma(a2, l02, low0, MMAShape.M16N8K16);
                    HalfFloat[] h03 = context.mmaLoadB(right, 16, 768);
                    high0 = context.mma(a3, h03, high0, MMAShape.M16N8K16);
                    HalfFloat[] l03 = context.mmaLoadB(right, 16, 4864);
                    low0 = context.mma(a3, l03, low0, MMAShape.M16N8K16);
                    HalfFloat[] h04 = context.mmaLoadB(right, 16, 1024);
                    high0 = context.mma(a4, h04, high0, MMAShape.M16N8K16);
                    HalfFloat[] l04 = context.mmaLoadB(right, 16, 5120);
                    low0 = context.mma(a4, l04, low0, MMAShape.M16N8K16);
                    HalfFloat[] h05 = context.mmaLoadB(right, 16, 1280);
                    high0 = context.mma(a5, h05, high0, MMAShape.M16N8K16);
                    HalfFloat[] l05 = context.mmaLoadB(right, 16, 5376);
                    low0 = context.mma(a5, l05, low0, MMAShape.M16N8K16);
                    HalfFloat[] h06 = context.mmaLoadB(right, 16, 1536);
                    high0 = context.mma(a6, h06, high0, MMAShape.M16N8K16);
                    HalfFloat[] l06 = context.mmaLoadB(right, 16, 5632);
                    low0 = context.mma(a6, l06, low0, MMAShape.M16N8K16);
                    HalfFloat[] h07 = context.mmaLoadB(right, 16, 1792);
                    high0 = context.mma(a7, h07, high0, MMAShape.M16N8K16);
                    HalfFloat[] l07 = context.mmaLoadB(right, 16, 5888);
                    low0 = context.mma(a7, l07, low0, MMAShape.M16N8K16);
                    float even0 = factors[lane % 4 * 2] * weightScale;
                    float odd0 = factors[1 + lane % 4 * 2] * weightScale;
                    values.read(context, high0);
                    float upperLeft0 = values.upperLeft() * 2048f;
                    float upperRight0 = values.upperRight() * 2048f;
                    float lowerLeft0 = values.lowerLeft() * 2048f;
                    float lowerRight0 = values.lowerRight() * 2048f;
                    values.read(context, low0);
                    sums[0] += (upperLeft0 + values.upperLeft()) * even0;
                    sums[1] += (upperRight0 + values.upperRight()) * odd0;
                    sums[2] += (lowerLeft0 + values.lowerLeft()) * even0;
                    sums[3] += (lowerRight0 + values.lowerRight()) * odd0;
                    if (count > 8) {
                        float[] high1 = context.mmaFragment(0f);
                        float[] low1 = context.mmaFragment(0f);
                        HalfFloat[] h10 = context.mmaLoadB(right, 16, 2048);
                        high1 = context.mma(a0, h10, high1, MMAShape.M16N8K16);
                        HalfFloat[] l10 = context.mmaLoadB(right, 16, 6144);
                        low1 = context.mma(a0, l10, low1, MMAShape.M16N8K16);
                        HalfFloat[] h11 = context.mmaLoadB(right, 16, 2304);
                        high1 = context.mma(a1, h11, high1, MMAShape.M16N8K16);
                        HalfFloat[] l11 = context.mmaLoadB(right, 16, 6400);
                        low1 = context.mma(a1, l11, low1, MMAShape.M16N8K16);
                        HalfFloat[] h12 = context.mmaLoadB(right, 16, 2560);
                        high1 = context.mma(a2, h12, high1, MMAShape.M16N8K16);
                        HalfFloat[] l12 = context.mmaLoadB(right, 16, 6656);
                        low1 = context.mma(a2, l12, low1, MMAShape.M16N8K16);
                        HalfFloat[] h13 = context.mmaLoadB(right, 16, 2816);
                        high1 = context.mma(a3, h13, high1, MMAShape.M16N8K16);
                        HalfFloat[] l13 = context.mmaLoadB(right, 16, 6912);
                        low1 = context.mma(a3, l13, low1, MMAShape.M16N8K16);
                        HalfFloat[] h14 = context.mmaLoadB(right, 16, 3072);
                        high1 = context.mma(a4, h14, high1, MMAShape.M16N8K16);
                        HalfFloat[] l14 = context.mmaLoadB(right, 16, 7168);
                        low1 = context.mma(a4, l14, low1, MMAShape.M16N8K16);
                        HalfFloat[] h15 = context.mmaLoadB(right, 16, 3328);
                        high1 = context.mma(a5, h15, high1, MMAShape.M16N8K16);
                        HalfFloat[] l15 = context.mmaLoadB(right, 16, 7424);
                        low1 = context.mma(a5, l15, low1, MMAShape.M16N8K16);
                        HalfFloat[] h16 = context.mmaLoadB(right, 16, 3584);
                        high1 = context.mma(a6, h16, high1, MMAShape.M16N8K16);
                        HalfFloat[] l16 = context.mmaLoadB(right, 16, 7680);
                        low1 = context.mma(a6, l16, low1, MMAShape.M16N8K16);
                        HalfFloat[] h17 = context.mmaLoadB(right, 16, 3840);
                        high1 = context.mma(a7, h17, high1, MMAShape.M16N8K16);
                        HalfFloat[] l17 = context.mmaLoadB(right, 16, 7936);
                        low1 = context.mma(a7, l17, low1, MMAShape.M16N8K16);
                        float even1 = factors[8 + lane % 4 * 2] * weightScale;
                        float odd1 = factors[9 + lane % 4 * 2] * weightScale;
                        values.read(context, high1);
                        float upperLeft1 = values.upperLeft() * 2048f;
                        float upperRight1 = values.upperRight() * 2048f;
                        float lowerLeft1 = values.lowerLeft() * 2048f;
                        float lowerRight1 = values.lowerRight() * 2048f;
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
