package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;

/**
 * Rows of f32 numbers as tensor cores take them without losing more than f32 loses: 128 numbers at a time as whole
 * numbers of 22 bits and a sign, relative to the largest of them, and each of these as two numbers that f16 holds
 * exactly, {@code 2048 high + low}. {@link MmaLinearKernels} multiplies both with a weight and adds them up in f32.
 *
 * <p>A split number is an int, the f16 of high in its lower half. Its scale is the block's largest magnitude divided by
 * 2^22 - 1; a block with a number that is none has an infinite scale, so that none comes out. For weights in bf16 ({@link
 * MmaBf16LinearKernels}) it is a long of three that bf16 holds, {@code 65536 high + 256 middle + low}, of 23 bits and a
 * sign.
 */
public final class SplitKernels {
    /** Threads of a block, and numbers that share a scale. */
    public static final int BLOCK = 128;
    /** Bytes of local memory of kernels that split. */
    public static final int LOCAL_BYTES = Block.FLOAT_MAX_BYTES;

    private static final int MOST_HALF = 2048;
    private static final float MOST = 4194303f;
    private static final int MOST_BYTE = 128;
    private static final float MOST_OF_THREE = 8388607f;

    private SplitKernels() {}

    /** The bits of the f16 numbers -2048 to 2048. */
    public static IntArray halves() {
        IntArray halves = new IntArray(2 * MOST_HALF + 1);
        for (int i = 0; i < halves.getSize(); i++) {
            halves.set(i, Float.floatToFloat16(i - MOST_HALF) & 0xffff);
        }
        return halves;
    }

    /** The bits of the bf16 numbers -128 to 128. */
    public static IntArray bytes() {
        IntArray bytes = new IntArray(2 * MOST_BYTE + 1);
        for (int i = 0; i < bytes.getSize(); i++) {
            bytes.set(i, Float.floatToRawIntBits(i - MOST_BYTE) >>> 16);
        }
        return bytes;
    }

    /**
     * Splits rows.
     *
     * @param shape place of the rows' number, blocks of a row, begin and stride of x
     * @param halves {@link #halves()}
     * @param split {@code [rows, 128 blocks]}
     * @param scales {@code [rows, blocks]}
     */
    public static void kSplit(
            KernelContext context,
            IntArray step,
            IntArray shape,
            int op,
            FloatArray x,
            IntArray halves,
            IntArray split,
            FloatArray scales) {
        int thread = context.localIdx;
        int blocks = shape.get(op + 1);
        int items = step.get(shape.get(op)) * blocks;
        for (int item = context.groupIdx; item < items; item += context.globalGroupSizeX / 128) {
            float value = x.get(shape.get(op + 2) + item / blocks * shape.get(op + 3) + item % blocks * 128 + thread);
            float most = Block.max(context, magnitude(value));
            split.set(item * 128 + thread, halves(halves, value, most));
            if (thread == 0) {
                scales.set(item, most / MOST);
            }
        }
    }

    /**
     * Splits rows in three.
     *
     * @param shape place of the rows' number, blocks of a row, begin and stride of x
     * @param bytes {@link #bytes()}
     * @param split {@code [rows, 128 blocks]}
     * @param scales {@code [rows, blocks]}
     */
    public static void kSplitThree(
            KernelContext context,
            IntArray step,
            IntArray shape,
            int op,
            FloatArray x,
            IntArray bytes,
            LongArray split,
            FloatArray scales) {
        int thread = context.localIdx;
        int blocks = shape.get(op + 1);
        int items = step.get(shape.get(op)) * blocks;
        for (int item = context.groupIdx; item < items; item += context.globalGroupSizeX / 128) {
            float value = x.get(shape.get(op + 2) + item / blocks * shape.get(op + 3) + item % blocks * 128 + thread);
            float most = Block.max(context, magnitude(value));
            split.set(item * 128 + thread, three(bytes, value, most));
            if (thread == 0) {
                scales.set(item, most / MOST_OF_THREE);
            }
        }
    }

    /**
     * Splits {@code silu(gate) up}, where both are sums of parts that lie one behind the other.
     *
     * @param shape place in lists of the rows' number, blocks of a row, parts, rows of a part
     * @param gate {@code [parts, rows of a part, 128 blocks]}
     * @param up the same
     * @param split {@code [rows, 128 blocks]}
     * @param scales {@code [rows, blocks]}
     */
    public static void kSplitGated(
            KernelContext context,
            IntArray lists,
            IntArray shape,
            int op,
            FloatArray gate,
            FloatArray up,
            IntArray halves,
            IntArray split,
            FloatArray scales) {
        int thread = context.localIdx;
        int blocks = shape.get(op + 1);
        int parts = shape.get(op + 2);
        int size = shape.get(op + 3) * blocks * 128;
        int items = lists.get(shape.get(op)) * blocks;
        for (int item = context.groupIdx; item < items; item += context.globalGroupSizeX / 128) {
            float g = 0f;
            float u = 0f;
            for (int part = 0; part < parts; part++) {
                g += gate.get(part * size + item * 128 + thread);
                u += up.get(part * size + item * 128 + thread);
            }
            float value = RowKernels.silu(g) * u;
            float most = Block.max(context, magnitude(value));
            split.set(item * 128 + thread, halves(halves, value, most));
            if (thread == 0) {
                scales.set(item, most / MOST);
            }
        }
    }

    /**
     * Adds up the parts of a product.
     *
     * @param shape place of the rows' number, columns, parts, rows of a part, begin and stride of out
     * @param parts {@code [parts, rows of a part, columns]}
     */
    public static void kSumParts(
            KernelContext context, IntArray step, IntArray shape, int op, FloatArray parts, FloatArray out) {
        int columns = shape.get(op + 1);
        int size = shape.get(op + 3) * columns;
        int count = step.get(shape.get(op)) * columns;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            float sum = 0f;
            for (int part = 0; part < shape.get(op + 2); part++) {
                sum += parts.get(part * size + i);
            }
            out.set(shape.get(op + 4) + i / columns * shape.get(op + 5) + i % columns, sum);
        }
    }

    /** A number in three, relative to the largest of its block. */
    private static long three(IntArray bytes, float value, float most) {
        float scaled = most > 0f ? value / most * MOST_OF_THREE : 0f;
        int whole = (int) (scaled + (scaled < 0f ? -0.5f : 0.5f));
        int bounded = Math.min(Math.max(whole, -8388607), 8388607);
        int low = ((bounded + 128) & 255) - 128;
        int rest = (bounded - low) >> 8;
        int middle = ((rest + 128) & 255) - 128;
        int high = (rest - middle) >> 8;
        int two = bytes.get(high + 128) | (bytes.get(middle + 128) << 16);
        return ((long) bytes.get(low + 128) << 32) | (two & 0xffffffffL);
    }

    /** Beyond all numbers where a value is none. */
    private static float magnitude(float value) {
        float size = TornadoMath.max(value, -value);
        return value == value ? size : 1e38f * 10f;
    }

    /** A number in halves, relative to the largest of its block. */
    private static int halves(IntArray halves, float value, float most) {
        float scaled = most > 0f ? value / most * MOST : 0f;
        int whole = (int) (scaled + (scaled < 0f ? -0.5f : 0.5f));
        int bounded = Math.min(Math.max(whole, -4194303), 4194303);
        int high = (bounded + 1024) >> 11;
        return halves.get(high + 2048) | (halves.get(bounded - high * 2048 + 2048) << 16);
    }
}
