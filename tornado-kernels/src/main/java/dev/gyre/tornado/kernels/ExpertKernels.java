package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A mixture of experts on any device behind its {@linkplain RoutingKernels routing}: the experts' MLPs over their rows, and
 * their weighted sum. Shapes and strides as in {@link RowKernels}, weights as in {@link LinearKernels}, experts one behind the other.
 *
 * <p>{@code lists} says which rows experts serve: {@code [experts + 1]} where each begins, then the rows' numbers, in
 * order. An expert that serves all rows is a list too.
 */
public final class ExpertKernels {
    /** Threads of a block. */
    public static final int BLOCK = 128;
    /** Outputs of a block of {@link #kHidden}. */
    public static final int HIDDEN_OUTPUTS = 8;

    private ExpertKernels() {}

    /**
     * {@code out = silu(x gate^T) (x up^T)} for the rows of every expert. A warp serves two outputs for up to eight rows.
     *
     * @param shape experts, inner width, begin and stride of x, stride of out, then gate's weight, then where up's weight and
     *     its scales begin; all else of up is as gate's
     * @param x {@code [rows, hidden]}
     * @param out {@code [entries of the lists, inner]}
     */
    public static void kHidden(
            KernelContext context,
            IntArray shape,
            int op,
            IntArray lists,
            FloatArray x,
            IntArray gateInts,
            IntArray upInts,
            FloatArray floats,
            FloatArray table,
            FloatArray out) {
        float[] parts = context.allocateFloatLocalArray(4224);
        int experts = shape.get(op + 0);
        int inner = shape.get(op + 1);
        int units = shape.get(op + 5);
        int format = shape.get(op + 6);
        int last = shape.get(op + 10) - 1;
        int thread = context.localIdx;
        int lane = thread % 32;
        int warp = thread / 32;
        int tiles = (inner + 7) / 8;
        for (int item = context.groupIdx; item < tiles * experts; item += context.globalGroupSizeX / 128) {
            int expert = item / tiles;
            int first = item % tiles * 8 + warp * 2;
            int end = lists.get(expert + 1);
            int[] at = new int[2];
            int[] gateAt = new int[2];
            int[] upAt = new int[2];
            for (int o = 0; o < 2; o++) {
                int row = expert * inner + Math.min(first + o, inner - 1);
                at[o] = row * units;
                gateAt[o] = LinearKernels.scaleRow(expert, Math.min(first + o, inner - 1), inner, shape, op + 5);
                upAt[o] = gateAt[o] - shape.get(op + 12) + shape.get(op + 14);
            }
            for (int begin = lists.get(expert); begin < end; begin += 8) {
                int count = Math.min(8, end - begin);
                int[] from = new int[8];
                float[] sums = new float[32];
                for (int r = 0; r < 8; r++) {
                    from[r] = shape.get(op + 2) + lists.get(experts + 1 + Math.min(begin + r, end - 1)) * shape.get(op + 3);
                }
                for (int i = 0; i < 32; i++) {
                    sums[i] = 0f;
                }
                for (int unit = lane; unit < units; unit += 32) {
                    float[] weights = new float[16];
                    for (int o = 0; o < 2; o++) {
                        float gateScale = 1f;
                        float upScale = 1f;
                        if (format == Decode.FP8) {
                            gateScale = floats.get(gateAt[o] + unit / shape.get(op + 8));
                            upScale = floats.get(upAt[o] + unit / shape.get(op + 8));
                        }
                        for (int i = 0; i < 4; i++) {
                            weights[o * 8 + i] = gateScale * LinearKernels.value(
                                    gateInts, floats, table, format, shape.get(op + 11), at[o] + unit, i);
                            weights[o * 8 + 4 + i] = upScale * LinearKernels.value(
                                    upInts, floats, table, format, shape.get(op + 13), at[o] + unit, i);
                        }
                    }
                    for (int r = 0; r < 8; r++) {
                        if (r < count) {
                            for (int i = 0; i < 4; i++) {
                                float input = x.get(from[r] + Math.min(unit * 4 + i, last));
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
                // of a row gate and up of one output, then of the other: a thread sums both of its output
                int mine = (warp * 32 + lane % 16 / 2 * 4 + lane % 2 * 2) * 33;
                float gate = 0f;
                float up = 0f;
                for (int i = 0; i < 32; i++) {
                    gate += parts[mine + i];
                    up += parts[mine + 33 + i];
                }
                if (lane < 16 && lane / 2 < count && first + lane % 2 < inner) {
                    out.set((begin + lane / 2) * shape.get(op + 4) + first + lane % 2, RowKernels.silu(gate) * up);
                }
            }
        }
    }

    /**
     * {@code out = x down^T} for the rows of every expert, each of which has its own x. A warp serves four outputs for up
     * to eight rows.
     *
     * @param shape experts, outputs, stride of x, stride of out, then the weight
     * @param x {@code [entries of the lists, inner]}
     * @param out {@code [entries of the lists, outputs]}
     */
    public static void kOut(
            KernelContext context,
            IntArray shape,
            int op,
            IntArray lists,
            FloatArray x,
            IntArray ints,
            FloatArray floats,
            FloatArray table,
            FloatArray out) {
        float[] parts = context.allocateFloatLocalArray(4224);
        int experts = shape.get(op + 0);
        int outputs = shape.get(op + 1);
        int units = shape.get(op + 4);
        int format = shape.get(op + 5);
        int last = shape.get(op + 9) - 1;
        int thread = context.localIdx;
        int lane = thread % 32;
        int warp = thread / 32;
        int tiles = (outputs + 15) / 16;
        for (int item = context.groupIdx; item < tiles * experts; item += context.globalGroupSizeX / 128) {
            int expert = item / tiles;
            int first = item % tiles * 16 + warp * 4;
            int end = lists.get(expert + 1);
            int[] at = new int[4];
            int[] scaleAt = new int[4];
            for (int o = 0; o < 4; o++) {
                at[o] = (expert * outputs + Math.min(first + o, outputs - 1)) * units;
                scaleAt[o] = LinearKernels.scaleRow(expert, Math.min(first + o, outputs - 1), outputs, shape, op + 4);
            }
            for (int begin = lists.get(expert); begin < end; begin += 8) {
                int count = Math.min(8, end - begin);
                float[] sums = new float[32];
                for (int i = 0; i < 32; i++) {
                    sums[i] = 0f;
                }
                for (int unit = lane; unit < units; unit += 32) {
                    float[] weights = new float[16];
                    for (int o = 0; o < 4; o++) {
                        float scale = 1f;
                        if (format == Decode.FP8) {
                            scale = floats.get(scaleAt[o] + unit / shape.get(op + 7));
                        }
                        for (int i = 0; i < 4; i++) {
                            weights[o * 4 + i] = scale * LinearKernels.value(
                                    ints, floats, table, format, shape.get(op + 10), at[o] + unit, i);
                        }
                    }
                    for (int r = 0; r < 8; r++) {
                        if (r < count) {
                            for (int i = 0; i < 4; i++) {
                                float input = x.get((begin + r) * shape.get(op + 2) + Math.min(unit * 4 + i, last));
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
                    out.set((begin + lane / 4) * shape.get(op + 3) + first + lane % 4, sum);
                }
            }
        }
    }

    /**
     * {@code out[r]} = the weighted sum of what row r's experts gave, in the order of their numbers, and with {@code
     * shape[5] = 1} what the shared expert gave.
     *
     * @param shape place of the rows' number, columns, experts of a token, begin and stride of out, 1 where shared counts
     * @param down {@code [entries of the lists, columns]}
     * @param shared {@code [rows, columns]}
     */
    public static void kCombine(
            KernelContext context,
            IntArray step,
            IntArray shape,
            int op,
            IntArray places,
            FloatArray weights,
            FloatArray down,
            FloatArray shared,
            FloatArray out) {
        int columns = shape.get(op + 1);
        int perToken = shape.get(op + 2);
        int count = step.get(shape.get(op + 0)) * columns;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            int row = i / columns;
            int column = i % columns;
            float sum = 0f;
            for (int j = 0; j < perToken; j++) {
                sum += weights.get(row * perToken + j) * down.get(places.get(row * perToken + j) * columns + column);
            }
            float always = 0f;
            if (shape.get(op + 5) > 0) {
                always = shared.get(row * columns + column);
            }
            out.set(shape.get(op + 3) + row * shape.get(op + 4) + column, sum + always);
        }
    }
}
