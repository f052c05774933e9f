package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Which experts serve which rows, on any device. Shapes and strides as in {@link RowKernels}. */
public final class RoutingKernels {
    /** The most experts of a layer. */
    public static final int MOST_EXPERTS = 1024;
    /** Threads of {@link #kRoute}'s block. */
    public static final int BLOCK = 128;
    /** Bytes of local memory of {@link #kRoute}. */
    public static final int ROUTE_BYTES = 5 * MOST_EXPERTS * Float.BYTES;
    /** Threads of {@link #kGroup}'s block. */
    public static final int GROUP_BLOCK = 512;
    /** Bytes of local memory of {@link #kGroup}. */
    public static final int GROUP_BYTES = 2 * MOST_EXPERTS * Integer.BYTES;

    private RoutingKernels() {}

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
}
