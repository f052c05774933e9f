package dev.gyre.model.ops.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.gyre.attention.WorkerPool;
import dev.gyre.model.TensorFile;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.ops.MlaShape;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** The vector kernels against their scalar twins, and the promise that a token's result depends on no other token. */
class VectorKernelsTest {
    /** Of the lengths of the two vectors that are multiplied: beyond f32 rounding only in an unlucky order of sums. */
    private static final double TOLERANCE = 1e-6;
    /** Ordinary scales, and such as decode differently: huge, tiny, and so tiny that values are subnormal. */
    private static final float[] SCALES = {0.01f, 0x1p8f, -0.5f, 1e-30f, 0x1p-126f, 0x1p7f, Math.nextDown(0x1p7f), 3e-3f};

    private final Random random = new Random(50);
    private final WorkerPool pool = new WorkerPool(2);
    private final Kernels reference = new ReferenceKernels(pool);
    private final Kernels vector = new VectorKernels(pool);

    @AfterEach
    void end() {
        pool.close();
    }

    private float[] normal(int size) {
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private Weight weight(DType dtype, int rows, int columns) {
        int size = rows * columns;
        if (dtype == DType.F8_E4M3) {
            float[] scales = new float[Math.ceilDiv(rows, 128) * Math.ceilDiv(columns, 128)];
            for (int i = 0; i < scales.length; i++) {
                scales[i] = 0.05f * (float) random.nextGaussian();
            }
            return fp8(rows, columns, 128, scales);
        }
        if (dtype == DType.F32) {
            return new Weight("w", dtype, rows, columns, MemorySegment.ofArray(TensorFile.littleEndian(normal(size))));
        }
        short[] bits = new short[size];
        for (int i = 0; i < size; i++) {
            float value = (float) random.nextGaussian();
            bits[i] = dtype == DType.F16 ? Float.floatToFloat16(value) : (short) (Float.floatToRawIntBits(value) >>> 16);
        }
        return new Weight("w", dtype, rows, columns, MemorySegment.ofArray(TensorFile.littleEndian(bits)));
    }

    private Weight fp8(int rows, int columns, int block, float[] scales) {
        byte[] codes = new byte[rows * columns];
        for (int i = 0; i < codes.length; i++) {
            codes[i] = (byte) (random.nextInt(2) << 7 | random.nextInt(0x7f)); // everything but NaN
        }
        return new Weight("w", DType.F8_E4M3, rows, columns, MemorySegment.ofArray(codes),
                MemorySegment.ofArray(TensorFile.littleEndian(scales)), block, block);
    }

    /** Some columns of a wider matrix, random inside and NaN around: nothing of that may get in. */
    private HostTensor input(int rows, int columns) {
        HostTensor view = output(rows, columns);
        for (int row = 0; row < rows; row++) {
            System.arraycopy(normal(columns), 0, view.data(), view.row(row), columns);
        }
        return view;
    }

    /** Some columns of a wider matrix of NaN, with a row more than asked for. */
    private static HostTensor output(int rows, int columns) {
        HostTensor wide = HostTensor.allocate(rows + 1, columns + 5);
        Arrays.fill(wide.data(), Float.NaN);
        return wide.columns(2, columns);
    }

    private static double length(HostTensor x, int row) {
        double squares = 0;
        for (int i = 0; i < x.columns(); i++) {
            squares += Math.pow(x.data()[x.row(row) + i], 2);
        }
        return Math.sqrt(squares);
    }

    private static double length(Weight weight, int row) {
        float[] values = new float[weight.columns()];
        weight.decodeRow(row, values);
        double squares = 0;
        for (float value : values) {
            squares += (double) value * value;
        }
        return Math.sqrt(squares);
    }

    private static void assertOutsideIsNaN(HostTensor out, int rows) {
        for (int i = 0; i < out.data().length; i++) {
            int row = Math.floorDiv(i - out.offset(), out.stride());
            int column = Math.floorMod(i - out.offset(), out.stride());
            if (row < 0 || row >= rows || column >= out.columns()) {
                assertEquals(Float.NaN, out.data()[i], "element " + i + " is outside the view");
            }
        }
    }

    private static void assertSameBits(HostTensor expected, int row, HostTensor found, int foundRow, String where) {
        for (int i = 0; i < expected.columns(); i++) {
            int wanted = Float.floatToRawIntBits(expected.data()[expected.row(row) + i]);
            int bits = Float.floatToRawIntBits(found.data()[found.row(foundRow) + i]);
            if (wanted != bits) {
                assertEquals(wanted, bits, where + ", row " + row + ", output " + i);
            }
        }
    }

    private void compareLinear(HostTensor x, int rows, Weight weight, String what) {
        HostTensor expected = output(rows, weight.rows());
        HostTensor found = output(rows, weight.rows());
        reference.linear(rows, x, weight, expected);
        vector.linear(rows, x, weight, found);
        for (int o = 0; o < weight.rows(); o++) {
            double length = length(weight, o);
            for (int row = 0; row < rows; row++) {
                float wanted = expected.data()[expected.row(row) + o];
                float value = found.data()[found.row(row) + o];
                double tolerance = TOLERANCE * length * length(x, row) + Float.MIN_NORMAL;
                if (!(Math.abs((double) wanted - value) <= tolerance)) {
                    assertEquals(wanted, value, tolerance, what + ": row " + row + ", output " + o);
                }
            }
        }
        assertOutsideIsNaN(found, rows);
    }

    @ParameterizedTest
    @EnumSource(DType.class)
    void linearOfOddSizes(DType dtype) {
        for (int columns : new int[] {1, 7, 8, 31, 128, 130, 1024, 1025, 2500}) {
            for (int outputs : new int[] {1, 3, 23, 24, 25, 100}) {
                Weight weight = weight(dtype, outputs, columns);
                for (int rows : new int[] {1, 2, 3, 4, 5, columns > 1000 ? 9 : 64}) {
                    compareLinear(input(rows, columns), rows, weight, rows + " x " + columns + " x " + outputs);
                }
            }
        }
    }

    /** So long that they are summed in more than one piece. */
    @ParameterizedTest
    @EnumSource(DType.class)
    void linearOfLongRows(DType dtype) {
        Weight weight = weight(dtype, 5, VectorDots.PIECE + 37);
        for (int rows : new int[] {1, 4, 11}) {
            compareLinear(input(rows, weight.columns()), rows, weight, rows + " rows");
        }
    }

    /** Scales at the tokens, at the weights or at either, rows of several pieces, more rows than a task has: the same bits. */
    @Test
    void groupsDoNotChangeABit() {
        int longRow = VectorDots.PIECE + 37;
        for (Weight weight : List.of(
                weight(DType.BF16, 100, longRow),
                weight(DType.F8_E4M3, 100, longRow),
                weight(DType.BF16, 100, VectorDots.PIECE + 128), // whole vectors in the second piece
                weight(DType.F8_E4M3, 100, VectorDots.PIECE + 128),
                fp8(70, 300, 128, new float[] {0.25f, 2f, 0x1p-9f}),
                fp8(70, 300, 128, new float[] {0.25f, 0x1p12f, 3e-3f}),
                fp8(70, 300, 20, normal(4 * 15)))) {
            HostTensor x = input(19, weight.columns());
            HostTensor together = output(19, weight.rows());
            vector.linear(19, x, weight, together);
            for (int rows : new int[] {1, 3, 4, 9}) {
                HostTensor few = output(rows, weight.rows());
                vector.linear(rows, part(x, 5), weight, few);
                for (int row = 0; row < rows; row++) {
                    assertSameBits(together, 5 + row, few, row, rows + " rows of " + weight.dtype());
                }
            }
        }
    }

    /** 576 rows are four and a half blocks of 128. */
    @ParameterizedTest
    @ValueSource(ints = {128, 64, 20})
    void partialBlocksWithEveryKindOfScale(int block) {
        for (int[] size : new int[][] {{150, 130}, {576, 200}, {63, 1100}}) {
            float[] scales = new float[Math.ceilDiv(size[0], block) * Math.ceilDiv(size[1], block)];
            for (float scale : SCALES) {
                Arrays.fill(scales, scale);
                compareFp8(fp8(size[0], size[1], block, scales), "scale " + scale);
            }
            for (int i = 0; i < scales.length; i++) {
                scales[i] = SCALES[i % 3 == 0 ? 0 : random.nextInt(SCALES.length)];
            }
            compareFp8(fp8(size[0], size[1], block, scales), "mixed scales");
        }
    }

    private void compareFp8(Weight weight, String what) {
        for (int rows : new int[] {1, 5}) {
            compareLinear(input(rows, weight.columns()), rows, weight, what + ", rows " + rows);
        }
    }

    /** One-hot tokens read the weights themselves: every code must come back exactly, decoded either way. */
    @Test
    void everyFp8CodeIsExact() {
        for (float scale : SCALES) {
            int columns = 254;
            byte[] codes = new byte[7 * columns];
            for (int i = 0; i < codes.length; i++) {
                int number = (i % columns + i / columns * 37) % columns; // each row shifted: every code in several lanes
                codes[i] = (byte) (number < 127 ? number : number + 1); // 0x7f and 0xff are NaN
            }
            float[] scales = {scale, 2 * scale};
            Weight weight = new Weight("w", DType.F8_E4M3, 7, columns, MemorySegment.ofArray(codes),
                    MemorySegment.ofArray(TensorFile.littleEndian(scales)), 128, 128);
            for (int rows : new int[] {1, 4}) {
                for (int from = 0; from < columns; from += rows) {
                    HostTensor x = HostTensor.allocate(rows, columns);
                    for (int row = 0; row < rows; row++) {
                        x.data()[x.row(row) + (from + row) % columns] = 1f;
                    }
                    HostTensor out = output(rows, 7);
                    vector.linear(rows, x, weight, out);
                    for (int row = 0; row < rows; row++) {
                        for (int o = 0; o < 7; o++) {
                            float expected = weight.value(o, (from + row) % columns);
                            assertEquals(expected + 0f, out.data()[out.row(row) + o] + 0f, "scale " + scale);
                        }
                    }
                }
            }
        }
    }

    /** Heads, nope, rope, value and latent of odd sizes, of DeepSeek-V3.2 and of GLM-5. */
    @ParameterizedTest
    @EnumSource(DType.class)
    void absorbAndExpand(DType dtype) {
        for (int[] s : new int[][] {{3, 5, 4, 2, 11}, {1, 1, 2, 1, 1}, {2, 128, 64, 128, 512}, {2, 192, 64, 256, 130}}) {
            MlaShape shape = new MlaShape(s[0], s[1], s[2], s[3], s[4], 1);
            Weight kvB = weight(dtype, s[0] * (s[1] + s[3]), s[4]);
            for (int rows : new int[] {1, 3, 4, 9}) {
                HostTensor q = input(rows, s[0] * (s[1] + s[2]));
                HostTensor expected = output(rows, s[0] * (s[4] + s[2]));
                HostTensor found = output(rows, s[0] * (s[4] + s[2]));
                reference.absorb(rows, q, kvB, shape, expected);
                vector.absorb(rows, q, kvB, shape, found);
                assertClose(expected, found, rows, "absorb " + Arrays.toString(s) + ", rows " + rows);
                HostTensor x = input(rows, s[0] * s[4]);
                expected = output(rows, s[0] * s[3]);
                found = output(rows, s[0] * s[3]);
                reference.expand(rows, x, kvB, shape, expected);
                vector.expand(rows, x, kvB, shape, found);
                assertClose(expected, found, rows, "expand " + Arrays.toString(s) + ", rows " + rows);
            }
        }
    }

    /** Few tokens decode in registers, many to memory first, and so do some scales: all to the same bits. */
    @Test
    void absorbOfFewAndMany() {
        MlaShape shape = new MlaShape(2, 192, 64, 64, 512, 1); // a head is two blocks of scales
        float[] scales = new float[4 * 4];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = 0.05f * (float) random.nextGaussian();
        }
        for (float special : new float[] {0.01f, 0x1p8f}) {
            scales[6] = special;
            Weight kvB = fp8(2 * 256, 512, 128, scales);
            HostTensor q = input(40, 2 * 256);
            HostTensor many = output(40, 2 * 576);
            vector.absorb(40, q, kvB, shape, many);
            HostTensor expected = output(40, 2 * 576);
            reference.absorb(40, q, kvB, shape, expected);
            assertClose(expected, many, 40, "absorb with a scale of " + special);
            for (int rows = 1; rows <= 7; rows++) {
                HostTensor few = output(rows, 2 * 576);
                vector.absorb(rows, part(q, 7), kvB, shape, few);
                for (int row = 0; row < rows; row++) {
                    assertSameBits(many, 7 + row, few, row, "absorb of " + rows + " with a scale of " + special);
                }
                assertOutsideIsNaN(few, rows);
            }
        }
    }

    private static void assertClose(HostTensor expected, HostTensor found, int rows, String where) {
        for (int row = 0; row < rows; row++) {
            double largest = 0;
            for (int i = 0; i < expected.columns(); i++) {
                largest = Math.max(largest, Math.abs(expected.data()[expected.row(row) + i]));
            }
            for (int i = 0; i < expected.columns(); i++) {
                float wanted = expected.data()[expected.row(row) + i];
                float value = found.data()[found.row(row) + i];
                if (!(Math.abs((double) wanted - value) <= 1e-5 * largest)) {
                    assertEquals(wanted, value, 1e-5 * largest, where + ": row " + row + ", output " + i);
                }
            }
        }
        assertOutsideIsNaN(found, rows);
    }

    @Test
    void swiGluOfOddWidthsAndExtremes() {
        float[] extremes = {0f, -0f, 87f, -87f, 88f, -88f, 104f, -104f, 1e4f, -1e4f, 1e30f, -1e30f, 1e-30f, -1e-30f};
        for (int columns : new int[] {1, 7, 8, 31, 128, 130, 1025}) {
            HostTensor gate = input(5, columns);
            HostTensor up = input(5, columns);
            for (int i = 0; i < columns; i++) {
                gate.data()[gate.row(3) + i] = extremes[i % extremes.length];
                gate.data()[gate.row(4) + i] *= 30;
            }
            HostTensor expected = output(5, columns);
            reference.swiGlu(5, gate, up, expected);
            HostTensor found = output(5, columns);
            vector.swiGlu(5, gate, up, found);
            vector.swiGlu(5, gate, up, gate); // in place
            for (int row = 0; row < 5; row++) {
                for (int i = 0; i < columns; i++) {
                    float wanted = expected.data()[expected.row(row) + i];
                    // far below zero silu is so small that f32 sums do not see it
                    float tolerance = 1e-6f * Math.abs(wanted) + 1e-7f * Math.min(1, Math.abs(up.data()[up.row(row) + i]));
                    float value = found.data()[found.row(row) + i];
                    assertEquals(wanted, value, tolerance, columns + " columns, row " + row + ", " + i);
                }
                assertSameBits(found, row, gate, row, "in place");
            }
            assertOutsideIsNaN(found, 5);
        }
    }

    /** Alone, with others before and behind it, on one thread or three: the same bits. */
    @ParameterizedTest
    @EnumSource(DType.class)
    void batchAndThreadsDoNotChangeABit(DType dtype) {
        MlaShape shape = new MlaShape(5, 33, 6, 29, 130, 1);
        Weight kvB = weight(dtype, 5 * 62, 130);
        Weight weight = weight(dtype, 50, 2500);
        HostTensor x = input(13, 2500);
        HostTensor q = input(13, 5 * 39);
        HostTensor latents = input(13, 5 * 130);
        HostTensor[] expected = run(vector, 13, x, weight, q, latents, kvB, shape);
        for (int threads = 1; threads <= 3; threads++) {
            try (WorkerPool other = new WorkerPool(threads)) {
                Kernels kernels = new VectorKernels(other);
                for (int rows = 1; rows <= 13; rows++) {
                    for (int from : new int[] {0, 13 - rows}) {
                        HostTensor[] found = run(kernels, rows, part(x, from), weight, part(q, from), part(latents, from),
                                kvB, shape);
                        for (int row = 0; row < rows; row++) {
                            for (int i = 0; i < found.length; i++) {
                                String where = "operation " + i + ", " + threads + " threads, " + rows + " rows";
                                assertSameBits(expected[i], from + row, found[i], row, where);
                            }
                        }
                    }
                }
            }
        }
    }

    /** The rows from {@code from} on. */
    private static HostTensor part(HostTensor x, int from) {
        return new HostTensor(x.data(), x.row(from), x.stride(), x.capacity() - from, x.columns());
    }

    private static HostTensor[] run(
            Kernels kernels, int rows, HostTensor x, Weight weight, HostTensor q, HostTensor latents, Weight kvB, MlaShape shape) {
        HostTensor[] out = {
            output(rows, weight.rows()), output(rows, 5 * 136), output(rows, 5 * 29), output(rows, x.columns())};
        kernels.linear(rows, x, weight, out[0]);
        kernels.absorb(rows, q, kvB, shape, out[1]);
        kernels.expand(rows, latents, kvB, shape, out[2]);
        kernels.swiGlu(rows, x, x, out[3]);
        return out;
    }
}
