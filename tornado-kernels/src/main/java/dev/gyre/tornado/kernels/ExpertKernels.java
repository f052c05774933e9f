package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A mixture of experts on any device: routing, the rows of every expert, the experts' MLPs over them, and their weighted
 * sum. Shapes and strides as in {@link RowKernels}, weights as in {@link LinearKernels}, experts one behind the other.
 *
 * <p>{@code lists} says which rows experts serve: {@code [experts + 1]} where each begins, then the rows' numbers, in
 * order. An expert that serves all rows is a list too.
 */
public final class ExpertKernels {
    /** Threads of a block. */
    public static final int BLOCK = 128;
    /** The most experts of a layer. */
    public static final int MOST_EXPERTS = 1024;
    /** Bytes of local memory of {@link #kRoute}. */
    public static final int ROUTE_BYTES = 5 * MOST_EXPERTS * Float.BYTES;
    /** Threads of {@link #kGroup}'s block. */
    public static final int GROUP_BLOCK = 512;
    /** Bytes of local memory of {@link #kGroup}. */
    public static final int GROUP_BYTES = 2 * MOST_EXPERTS * Integer.BYTES;
    /** Outputs of a block of {@link #kHidden}. */
    public static final int HIDDEN_OUTPUTS = 8;

    private ExpertKernels() {}

    /**
     * DeepSeek-V3's group-limited routing (noaux_tc): scores are sigmoids of the router's logits; experts are chosen by
     * score plus bias from the groups whose best two sum highest; of equals the lower number wins; the weights are the
     * plain scores. A block serves a row: who is chosen is told by how many are better.
     *
     * @param shape place of the rows' number, experts, groups, groups of a token, experts of a token, 1 where weights are
     *     divided by their sum, and where in vectors the bias and the factor on weights are
     * @param logits {@code [rows, experts]}
     * @param chosen {@code [rows, experts of a token]}: numbers, ascending
     * @param weights {@code [rows, experts of a token]}
     */
    public static void kRoute(
            KernelContext context,
            IntArray step,
            IntArray shape,
            int op,
            FloatArray vectors,
            FloatArray logits,
            IntArray chosen,
            FloatArray weights) {
        float[] scores = context.allocateFloatLocalArray(1024);
        float[] choices = context.allocateFloatLocalArray(1024);
        float[] sums = context.allocateFloatLocalArray(1024);
        int[] taken = context.allocateIntLocalArray(1024);
        int[] open = context.allocateIntLocalArray(1024);
        int rows = step.get(shape.get(op + 0));
        int experts = shape.get(op + 1);
        int groups = shape.get(op + 2);
        int perToken = shape.get(op + 4);
        int size = experts / groups;
        int thread = context.localIdx;
        for (int row = context.groupIdx; row < rows; row += context.globalGroupSizeX / 128) {
            context.localBarrier();
            for (int e = thread; e < experts; e += 128) {
                float score = 1f / (1f + TornadoMath.exp(-logits.get(row * experts + e)));
                scores[e] = score;
                choices[e] = score + vectors.get(shape.get(op + 6) + e);
            }
            context.localBarrier();
            for (int g = thread; g < groups; g += 128) {
                float first = -1e30f;
                float second = -1e30f;
                for (int e = g * size; e < g * size + size; e++) {
                    float choice = choices[e];
                    second = TornadoMath.max(second, TornadoMath.min(first, choice));
                    first = TornadoMath.max(first, choice);
                }
                sums[g] = size == 1 ? first : first + second;
            }
            context.localBarrier();
            for (int g = thread; g < groups; g += 128) {
                float mine = sums[g];
                int better = 0;
                for (int i = 0; i < groups; i++) {
                    better += sums[i] > mine ? 1 : 0;
                    int before = i < g ? 1 : 0;
                    better += sums[i] == mine ? before : 0;
                }
                open[g] = better < shape.get(op + 3) ? 1 : 0;
            }
            context.localBarrier();
            for (int e = thread; e < experts; e += 128) {
                choices[e] = open[e / size] > 0 ? choices[e] : -3e30f;
            }
            context.localBarrier();
            for (int e = thread; e < experts; e += 128) {
                float mine = choices[e];
                int better = 0;
                for (int i = 0; i < experts; i++) {
                    better += choices[i] > mine ? 1 : 0;
                    int before = i < e ? 1 : 0;
                    better += choices[i] == mine ? before : 0;
                }
                taken[e] = better < perToken ? 1 : 0;
            }
            context.localBarrier();
            float total = 0f;
            for (int i = 0; i < experts; i++) {
                total += taken[i] > 0 ? scores[i] : 0f;
            }
            float scale = vectors.get(shape.get(op + 7)) / (shape.get(op + 5) > 0 ? total + 1e-20f : 1f);
            for (int e = thread; e < experts; e += 128) {
                int before = 0;
                for (int i = 0; i < e; i++) {
                    before += taken[i];
                }
                // where logits are no numbers, nobody is better than another
                if (taken[e] > 0 && before < perToken) {
                    chosen.set(row * perToken + before, e);
                    weights.set(row * perToken + before, scores[e] * scale);
                }
            }
        }
    }

    /**
     * The rows of every expert. One block; a thread serves an expert at a time.
     *
     * @param shape place of the rows' number, experts, experts of a token
     * @param chosen {@code [rows, experts of a token]}
     * @param lists where each expert's rows begin, and the rows
     * @param places {@code [rows, experts of a token]}: where in the lists a row stands
     * @param active how many experts have rows, and which
     */
    public static void kGroup(
            KernelContext context,
            IntArray step,
            IntArray shape,
            int op,
            IntArray chosen,
            IntArray lists,
            IntArray places,
            IntArray active) {
        int[] near = context.allocateIntLocalArray(1024);
        int[] busy = context.allocateIntLocalArray(1024);
        int experts = shape.get(op + 1);
        int perToken = shape.get(op + 2);
        int entries = step.get(shape.get(op + 0)) * perToken;
        int thread = context.localIdx;
        for (int start = 0; start <= experts; start += 512) {
            int expert = start + thread;
            int before = 0;
            for (int from = 0; from < entries; from += 1024) {
                int count = Math.min(1024, entries - from);
                context.localBarrier();
                for (int i = thread; i < count; i += 512) {
                    near[i] = chosen.get(from + i);
                }
                context.localBarrier();
                for (int i = 0; i < count; i++) {
                    before += near[i] < expert ? 1 : 0;
                }
            }
            int next = before;
            for (int from = 0; from < entries; from += 1024) {
                int count = Math.min(1024, entries - from);
                context.localBarrier();
                for (int i = thread; i < count; i += 512) {
                    near[i] = chosen.get(from + i);
                }
                context.localBarrier();
                for (int i = 0; i < count; i++) {
                    if (near[i] == expert) {
                        lists.set(experts + 1 + next, (from + i) / perToken);
                        places.set(from + i, next);
                        next++;
                    }
                }
            }
            if (expert <= experts) {
                lists.set(expert, before);
            }
            if (expert < experts) {
                busy[expert] = next > before ? 1 : 0;
            }
        }
        context.localBarrier();
        for (int e = thread; e <= experts; e += 512) {
            int before = 0;
            for (int i = 0; i < e; i++) {
                before += busy[i];
            }
            if (e == experts) {
                active.set(0, before);
            } else if (busy[e] > 0) {
                active.set(1 + before, e);
            }
        }
    }

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
