package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Products with weights, on any device, in f32: a weight is read as it is stored and decoded on the way.
 *
 * <p>A weight matrix lies in units of four values along its rows, the last unit filled with zeros: FP8 in an int, bf16 in
 * two, f32 in four floats. In {@code shape} a weight is eight numbers: units of a row, format ({@link Decode#F32} and so
 * on), and of FP8's scales rows of a block, units of a block, blocks of a row; then the columns that count, and where the
 * weight and its scales begin in the arrays that they share with others.
 *
 * <p>A warp of 32 threads serves four outputs for up to eight rows, a thread every 32nd unit. Which sums are made in which
 * order does not depend on how many rows there are, so a row has the same bits alone and in a batch.
 */
public final class LinearKernels {
    /** Threads of a block: four warps. */
    public static final int BLOCK = 128;
    /** Outputs of a block. */
    public static final int OUTPUTS = 16;
    /** Rows of a block. */
    public static final int ROWS = 8;
    /** Numbers in {@code shape} that describe a weight. */
    public static final int WEIGHT_NUMBERS = 8;
    /** Bytes of local memory of {@link #kLinear}: 32 sums of every thread, 32 threads' apart by 33. */
    public static final int LOCAL_BYTES = 4 * 32 * 33 * Float.BYTES;

    /** Bytes of local memory of {@link #kAbsorb}: 16 sums of every thread, threads apart by 17. */
    public static final int ABSORB_BYTES = BLOCK * 17 * Float.BYTES;

    private LinearKernels() {}

    /** Value i of a unit, without its scale. */
    static float value(IntArray ints, FloatArray floats, FloatArray table, int format, int begin, int unit, int i) {
        float value = 0f;
        if (format == Decode.FP8) {
            value = table.get((ints.get(begin + unit) >> (8 * i)) & 255);
        } else if (format == Decode.BF16) {
            value = Decode.bf16(table, (ints.get(begin + unit * 2 + i / 2) >> (16 * (i & 1))) & 0xffff);
        } else {
            value = floats.get(begin + unit * 4 + i);
        }
        return value;
    }

    /** One element of a weight whose description begins at {@code shape[at]}. */
    static float element(
            IntArray ints, FloatArray floats, FloatArray table, IntArray shape, int at, int row, int column) {
        int format = shape.get(at + 1);
        float value = value(
                ints, floats, table, format, shape.get(at + 6), row * shape.get(at) + column / 4, column % 4);
        float scale = 1f;
        if (format == Decode.FP8) {
            int block = row / shape.get(at + 2) * shape.get(at + 4) + column / 4 / shape.get(at + 3);
            scale = floats.get(shape.get(at + 7) + block);
        }
        return value * scale;
    }

    /**
     * Where the scales of a row begin in those of matrices of {@code rows} rows that lie one behind the other, each with
     * blocks of its own.
     */
    static int scaleRow(int matrix, int row, int rows, IntArray shape, int at) {
        int blockRows = shape.get(at + 2);
        int block = (matrix * ((rows + blockRows - 1) / blockRows) + row / blockRows) * shape.get(at + 4);
        return shape.get(at + 7) + block;
    }

    /**
     * {@code out = x weight^T}, for each of some groups of columns (attention heads, or one group that is all of them)
     * with its own rows of the weight.
     *
     * @param shape place of the rows' number, outputs of a group, begin and stride of x, of out, groups, columns of x from
     *     one group to the next, columns of out, rows of the weight, first row of a group, then the weight
     */
    public static void kLinear(
            KernelContext context,
            IntArray step,
            IntArray shape,
            int op,
            FloatArray x,
            IntArray ints,
            FloatArray floats,
            FloatArray table,
            FloatArray out) {
        float[] parts = context.allocateFloatLocalArray(4224);
        int rows = step.get(shape.get(op + 0));
        int outputs = shape.get(op + 1);
        int groups = shape.get(op + 6);
        int units = shape.get(op + 11);
        int format = shape.get(op + 12);
        int last = shape.get(op + 16) - 1;
        int begin = shape.get(op + 17);
        int thread = context.localIdx;
        int lane = thread % 32;
        int warp = thread / 32;
        int tiles = (outputs + 15) / 16;
        int items = tiles * groups * ((rows + 7) / 8);
        for (int item = context.groupIdx; item < items; item += context.globalGroupSizeX / 128) {
            int firstRow = item / (tiles * groups) * 8;
            int group = item / tiles % groups;
            int first = item % tiles * 16 + warp * 4;
            int count = Math.min(8, rows - firstRow);
            int from = shape.get(op + 2) + firstRow * shape.get(op + 3) + group * shape.get(op + 7);
            float[] sums = new float[32];
            int[] at = new int[4];
            int[] scaleAt = new int[4];
            for (int o = 0; o < 4; o++) {
                int weightRow = group * shape.get(op + 9) + shape.get(op + 10) + Math.min(first + o, outputs - 1);
                at[o] = weightRow * units;
                scaleAt[o] = shape.get(op + 18) + weightRow / shape.get(op + 13) * shape.get(op + 15);
            }
            for (int i = 0; i < 32; i++) {
                sums[i] = 0f;
            }
            for (int unit = lane; unit < units; unit += 32) {
                float[] weights = new float[16];
                for (int o = 0; o < 4; o++) {
                    float scale = 1f;
                    if (format == Decode.FP8) {
                        scale = floats.get(scaleAt[o] + unit / shape.get(op + 14));
                    }
                    for (int i = 0; i < 4; i++) {
                        weights[o * 4 + i] = scale * value(ints, floats, table, format, begin, at[o] + unit, i);
                    }
                }
                for (int r = 0; r < 8; r++) {
                    if (r < count) {
                        int row = from + r * shape.get(op + 3);
                        for (int i = 0; i < 4; i++) {
                            float input = x.get(row + Math.min(unit * 4 + i, last));
                            for (int o = 0; o < 4; o++) {
                                sums[r * 4 + o] += weights[o * 4 + i] * input;
                            }
                        }
                    }
                }
            }
            context.localBarrier();
            for (int i = 0; i < 32; i++) {
                parts[(warp * 32 + i) * 33 + lane] = sums[i];
            }
            context.localBarrier();
            float sum = 0f;
            for (int i = 0; i < 32; i++) {
                sum += parts[thread * 33 + i];
            }
            if (lane / 4 < count && first + lane % 4 < outputs) {
                out.set(shape.get(op + 4) + (firstRow + lane / 4) * shape.get(op + 5) + group * shape.get(op + 8) + first + lane % 4,
                        sum);
            }
        }
    }

    /**
     * Ops.absorb: for every head {@code out = [q_nope W_UK | q_rope]}. A block serves 16 units of a head's latent for up to
     * four rows; eight groups of its threads sum over every eighth value of q_nope, and then one over the groups.
     *
     * @param shape place of the rows' number, heads, nope, rope, value, latent, then the weight
     * @param q {@code [rows, heads, nope + rope]}
     * @param out {@code [rows, heads, latent + rope]}
     */
    public static void kAbsorb(
            KernelContext context,
            IntArray step,
            IntArray shape,
            int op,
            FloatArray q,
            IntArray ints,
            FloatArray floats,
            FloatArray table,
            FloatArray out) {
        float[] parts = context.allocateFloatLocalArray(2176);
        int rows = step.get(shape.get(op));
        int heads = shape.get(op + 1);
        int nope = shape.get(op + 2);
        int rope = shape.get(op + 3);
        int latent = shape.get(op + 5);
        int units = shape.get(op + 6);
        int format = shape.get(op + 7);
        int thread = context.localIdx;
        int slice = thread / 16;
        int tiles = (units + 15) / 16;
        int items = heads * tiles * ((rows + 3) / 4);
        for (int item = context.groupIdx; item < items; item += context.globalGroupSizeX / 128) {
            int tile = item % tiles;
            int head = item / tiles % heads;
            int firstRow = item / (tiles * heads) * 4;
            int count = Math.min(4, rows - firstRow);
            int weightRow = head * (nope + shape.get(op + 4));
            int from = (firstRow * heads + head) * (nope + rope);
            int to = (firstRow * heads + head) * (latent + rope);
            int unit = Math.min(tile * 16 + thread % 16, units - 1);
            float[] sums = new float[16];
            for (int i = 0; i < 16; i++) {
                sums[i] = 0f;
            }
            for (int d = slice; d < nope; d += 8) {
                float scale = 1f;
                if (format == Decode.FP8) {
                    int block = (weightRow + d) / shape.get(op + 8) * shape.get(op + 10) + unit / shape.get(op + 9);
                    scale = floats.get(shape.get(op + 13) + block);
                }
                float[] weights = new float[4];
                for (int i = 0; i < 4; i++) {
                    weights[i] = scale * value(
                            ints, floats, table, format, shape.get(op + 12), (weightRow + d) * units + unit, i);
                }
                for (int r = 0; r < 4; r++) {
                    if (r < count) {
                        float query = q.get(from + r * heads * (nope + rope) + d);
                        for (int i = 0; i < 4; i++) {
                            sums[r * 4 + i] += query * weights[i];
                        }
                    }
                }
            }
            context.localBarrier();
            for (int i = 0; i < 16; i++) {
                parts[thread * 17 + i] = sums[i];
            }
            context.localBarrier();
            // 256 sums, of a unit, a row and a value of the unit, two for each thread
            for (int sum = thread; sum < 256; sum += 128) {
                float total = 0f;
                for (int s = 0; s < 8; s++) {
                    total += parts[(s * 16 + sum / 16) * 17 + sum % 16];
                }
                int row = sum % 16 / 4;
                int column = (tile * 16 + sum / 16) * 4 + sum % 4;
                if (row < count && column < latent) {
                    out.set(to + row * heads * (latent + rope) + column, total);
                }
            }
            int copied = tile == 0 ? count * rope : 0;
            for (int i = thread; i < copied; i += 128) {
                out.set(to + i / rope * heads * (latent + rope) + latent + i % rope,
                        q.get(from + i / rope * heads * (nope + rope) + nope + i % rope));
            }
        }
    }
}
