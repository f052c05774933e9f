package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What a decoder does to single rows: Ops.embed, gather, rmsNorm, layerNorm, add, scale, rope and swiGlu on any device.
 *
 * <p>What an operation is lies in {@code shape} from {@code op} on, with that of all others: TornadoVM 5.2 has room for 1024
 * nodes in a graph, three of them for an array. A matrix is an array, where it begins in it, and how far its rows are apart. How many rows there are is in {@code
 * step}, at the place that {@code shape[0]} names: it changes from run to run, while a captured graph and its grids stay.
 * So blocks and threads go through the rows in strides, and those for whom nothing is left do nothing.
 */
public final class RowKernels {
    /** Threads of a block. */
    public static final int BLOCK = 128;
    /** Threads of a block of {@link #kNorm}: rows are long, and a thread waits for its loads. */
    public static final int NORM_BLOCK = 512;
    /** Bytes of local memory of {@link #kNorm}. */
    public static final int NORM_BYTES = 2 * NORM_BLOCK * Float.BYTES;

    private RowKernels() {}

    /**
     * {@code out[r] = table[tokens[r]]}.
     *
     * @param shape place of the rows' number, columns, begin and stride of out, then the {@linkplain LinearKernels weight}
     * @param ints weights in bf16 or FP8
     * @param floats weights in f32, or the scales of FP8
     */
    public static void kEmbed(
            KernelContext context,
            IntArray step,
            IntArray shape,
            int op,
            IntArray tokens,
            IntArray ints,
            FloatArray floats,
            FloatArray table,
            FloatArray out) {
        int columns = shape.get(op + 1);
        int count = step.get(shape.get(op + 0)) * columns;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            int row = i / columns;
            int column = i % columns;
            out.set(shape.get(op + 2) + row * shape.get(op + 3) + column,
                    LinearKernels.element(ints, floats, table, shape, op + 4, tokens.get(row), column));
        }
    }

    /**
     * {@code out[i] = x[wanted[i]]}.
     *
     * @param shape place of the rows' number, columns, begin and stride of x, of out
     */
    public static void kGather(
            KernelContext context, IntArray step, IntArray shape, int op, IntArray wanted, FloatArray x, FloatArray out) {
        int columns = shape.get(op + 1);
        int count = step.get(shape.get(op + 0)) * columns;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            int from = wanted.get(i / columns);
            out.set(shape.get(op + 4) + i / columns * shape.get(op + 5) + i % columns,
                    x.get(shape.get(op + 2) + from * shape.get(op + 3) + i % columns));
        }
    }

    /**
     * RMSNorm, {@code x gain / sqrt(mean(x^2) + eps)} (arXiv 1910.07467), or with {@code shape[6] = 1} LayerNorm,
     * {@code (x - mean) gain / sqrt(variance + eps) + bias}. One block a row; out may be x.
     *
     * @param shape place of the rows' number, columns, begin and stride of x, of out, 1 for LayerNorm, and where in vectors
     *     gain, bias and eps are
     */
    public static void kNorm(
            KernelContext context, IntArray step, IntArray shape, int op, FloatArray vectors, FloatArray x, FloatArray out) {
        float[] sums = context.allocateFloatLocalArray(512);
        float[] squares = context.allocateFloatLocalArray(512);
        int rows = step.get(shape.get(op + 0));
        int columns = shape.get(op + 1);
        int layer = shape.get(op + 6);
        int thread = context.localIdx;
        for (int row = context.groupIdx; row < rows; row += context.globalGroupSizeX / 512) {
            int from = shape.get(op + 2) + row * shape.get(op + 3);
            int to = shape.get(op + 4) + row * shape.get(op + 5);
            float sum = 0f;
            for (int d = thread; d < columns; d += 512) {
                sum += layer * x.get(from + d);
            }
            context.localBarrier();
            sums[thread] = sum;
            context.localBarrier();
            for (int half = 256; half > 0; half = half / 2) {
                if (thread < half) {
                    sums[thread] += sums[thread + half];
                }
                context.localBarrier();
            }
            float mean = sums[0] / columns;
            float square = 0f;
            for (int d = thread; d < columns; d += 512) {
                float centred = x.get(from + d) - mean;
                square += centred * centred;
            }
            squares[thread] = square;
            context.localBarrier();
            for (int half = 256; half > 0; half = half / 2) {
                if (thread < half) {
                    squares[thread] += squares[thread + half];
                }
                context.localBarrier();
            }
            float factor = 1f / TornadoMath.sqrt(squares[0] / columns + vectors.get(shape.get(op + 9)));
            for (int d = thread; d < columns; d += 512) {
                float shift = layer > 0 ? vectors.get(shape.get(op + 8) + d) : 0f;
                out.set(to + d, (x.get(from + d) - mean) * factor * vectors.get(shape.get(op + 7) + d) + shift);
            }
        }
    }

    /**
     * {@code sum += x}.
     *
     * @param shape place of the rows' number, columns, begin and stride of x, of sum
     */
    public static void kAdd(KernelContext context, IntArray step, IntArray shape, int op, FloatArray x, FloatArray sum) {
        int columns = shape.get(op + 1);
        int count = step.get(shape.get(op + 0)) * columns;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            int at = shape.get(op + 4) + i / columns * shape.get(op + 5) + i % columns;
            sum.set(at, sum.get(at) + x.get(shape.get(op + 2) + i / columns * shape.get(op + 3) + i % columns));
        }
    }

    /**
     * {@code x *= factor}.
     *
     * @param shape place of the rows' number, columns, begin and stride of x, and where in vectors the factor is
     */
    public static void kScale(
            KernelContext context, IntArray step, IntArray shape, int op, FloatArray vectors, FloatArray x) {
        int columns = shape.get(op + 1);
        int count = step.get(shape.get(op + 0)) * columns;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            int at = shape.get(op + 2) + i / columns * shape.get(op + 3) + i % columns;
            x.set(at, x.get(at) * vectors.get(shape.get(op + 4)));
        }
    }

    /**
     * {@code out = silu(gate) up}; out may be gate.
     *
     * @param shape place of the rows' number, columns, begin and stride of gate, of up, of out
     */
    public static void kSwiGlu(
            KernelContext context, IntArray step, IntArray shape, int op, FloatArray gate, FloatArray up, FloatArray out) {
        int columns = shape.get(op + 1);
        int count = step.get(shape.get(op + 0)) * columns;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            float g = gate.get(shape.get(op + 2) + i / columns * shape.get(op + 3) + i % columns);
            float u = up.get(shape.get(op + 4) + i / columns * shape.get(op + 5) + i % columns);
            out.set(shape.get(op + 6) + i / columns * shape.get(op + 7) + i % columns, silu(g) * u);
        }
    }

    /** {@code x / (1 + e^-x)}. */
    static float silu(float x) {
        return x / (1f + TornadoMath.exp(-x));
    }

    /**
     * RoPE of some values of every head, in place; a thread for each pair.
     *
     * @param shape place of the rows' number, heads, width of a head, first rotated value of a head, rotated values, 1
     *     where pairs are (2i, 2i+1) and 0 where they are (i, i + rotated/2), begin and stride of x
     * @param visible {@code [rows]}: how many tokens a row sees, itself the last
     * @param angles {@code [positions, rotated]}: the cosines of a position's pairs, then their sines
     */
    public static void kRope(
            KernelContext context, IntArray step, IntArray shape, int op, IntArray visible, FloatArray angles, FloatArray x) {
        int heads = shape.get(op + 1);
        int half = shape.get(op + 4) / 2;
        int interleaved = shape.get(op + 5);
        int count = step.get(shape.get(op + 0)) * heads * half;
        for (int task = context.globalIdx; task < count; task += context.globalGroupSizeX) {
            int pair = task % half;
            int row = task / half / heads;
            int head = task / half % heads;
            int angle = (visible.get(row) - 1) * shape.get(op + 4) + pair;
            int i = shape.get(op + 6) + row * shape.get(op + 7) + head * shape.get(op + 2) + shape.get(op + 3) + pair * (1 + interleaved);
            int j = i + (interleaved > 0 ? 1 : half);
            float a = x.get(i);
            float b = x.get(j);
            float cos = angles.get(angle);
            float sin = angles.get(angle + half);
            x.set(i, a * cos - b * sin);
            x.set(j, b * cos + a * sin);
        }
    }
}
