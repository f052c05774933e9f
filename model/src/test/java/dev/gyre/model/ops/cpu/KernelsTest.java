package dev.gyre.model.ops.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.gyre.attention.WorkerPool;
import dev.gyre.model.TensorFile;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.ops.MlaShape;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.lang.foreign.MemorySegment;
import java.util.Random;

/** The products with weight matrices against loops over single decoded elements, on odd sizes and views. */
class KernelsTest {
    private final Random random = new Random(40);
    private WorkerPool pool;
    private Kernels kernels;

    @BeforeEach
    void start() {
        pool = new WorkerPool(2);
        kernels = new ReferenceKernels(pool);
    }

    @AfterEach
    void end() {
        pool.close();
    }

    /** A weight of random finite values; FP8 in blocks of 5 x 7, so that some are partial. */
    private Weight weight(DType dtype, int rows, int columns) {
        int size = rows * columns;
        if (dtype == DType.F32) {
            return new Weight("w", dtype, rows, columns, MemorySegment.ofArray(TensorFile.littleEndian(normal(size))));
        }
        if (dtype != DType.F8_E4M3) {
            short[] bits = new short[size];
            for (int i = 0; i < size; i++) {
                float value = (float) random.nextGaussian();
                bits[i] = dtype == DType.F16
                        ? Float.floatToFloat16(value)
                        : (short) (Float.floatToRawIntBits(value) >>> 16);
            }
            return new Weight("w", dtype, rows, columns, MemorySegment.ofArray(TensorFile.littleEndian(bits)));
        }
        byte[] codes = new byte[size];
        for (int i = 0; i < size; i++) {
            codes[i] = (byte) (random.nextInt(2) << 7 | random.nextInt(0x48)); // up to 4, no NaN
        }
        float[] scales = normal(Math.ceilDiv(rows, 5) * Math.ceilDiv(columns, 7));
        return new Weight("w", dtype, rows, columns, MemorySegment.ofArray(codes),
                MemorySegment.ofArray(TensorFile.littleEndian(scales)), 5, 7);
    }

    private static double at(Weight weight, int row, int column) {
        float[] element = new float[1];
        weight.decode(row, column, column + 1, element);
        return element[0];
    }

    private float[] normal(int size) {
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /** Some columns of a wider matrix of random numbers: what a kernel writes outside its view shows. */
    private HostTensor view(int rows, int columns) {
        HostTensor wide = HostTensor.allocate(rows, columns + 5);
        System.arraycopy(normal(wide.data().length), 0, wide.data(), 0, wide.data().length);
        return wide.columns(2, columns);
    }

    private static void assertOutsideUnchanged(float[] before, HostTensor view) {
        for (int i = 0; i < before.length; i++) {
            int column = (i - view.offset() + view.stride()) % view.stride();
            if (column >= view.columns()) {
                assertEquals(before[i], view.data()[i], "element " + i + " is outside the view");
            }
        }
    }

    private static double element(HostTensor x, int row, int column) {
        return x.data()[x.row(row) + column];
    }

    @ParameterizedTest
    @EnumSource(DType.class)
    void linear(DType dtype) {
        for (int[] size : new int[][] {{1, 1, 1}, {1, 17, 3}, {3, 5, 7}, {4, 31, 29}, {2, 64, 65}}) {
            Weight weight = weight(dtype, size[2], size[1]);
            HostTensor x = view(size[0], size[1]);
            HostTensor out = view(size[0], size[2]);
            float[] before = out.data().clone();
            kernels.linear(size[0], x, weight, out);
            for (int row = 0; row < size[0]; row++) {
                for (int o = 0; o < size[2]; o++) {
                    double sum = 0;
                    for (int i = 0; i < size[1]; i++) {
                        sum += at(weight, o, i) * element(x, row, i);
                    }
                    assertEquals(sum, element(out, row, o), 1e-5);
                }
            }
            assertOutsideUnchanged(before, out);
        }
    }

    /** {@code out[head] = [W_UK^T q_nope | q_rope]}; only the rows given are written. */
    @ParameterizedTest
    @EnumSource(DType.class)
    void absorb(DType dtype) {
        MlaShape shape = new MlaShape(3, 5, 4, 2, 11, 1);
        Weight kvB = weight(dtype, 3 * 7, 11);
        HostTensor q = view(4, 3 * 9);
        HostTensor out = view(4, 3 * 15);
        float[] before = out.data().clone();
        kernels.absorb(3, q, kvB, shape, out);
        for (int row = 0; row < 3; row++) {
            for (int head = 0; head < 3; head++) {
                for (int i = 0; i < 11; i++) {
                    double sum = 0;
                    for (int n = 0; n < 5; n++) {
                        sum += element(q, row, head * 9 + n) * at(kvB, head * 7 + n, i);
                    }
                    assertEquals(sum, element(out, row, head * 15 + i), 1e-5);
                }
                for (int i = 0; i < 4; i++) {
                    assertEquals(element(q, row, head * 9 + 5 + i), element(out, row, head * 15 + 11 + i));
                }
            }
        }
        assertOutsideUnchanged(before, out);
        for (int i = 0; i < out.columns(); i++) {
            assertEquals(before[out.row(3) + i], element(out, 3, i));
        }
    }

    /** {@code out[head] = W_UV attended[head]}. */
    @ParameterizedTest
    @EnumSource(DType.class)
    void expand(DType dtype) {
        MlaShape shape = new MlaShape(3, 5, 4, 2, 11, 1);
        Weight kvB = weight(dtype, 3 * 7, 11);
        HostTensor x = view(2, 3 * 11);
        HostTensor out = view(2, 3 * 2);
        float[] before = out.data().clone();
        kernels.expand(2, x, kvB, shape, out);
        for (int row = 0; row < 2; row++) {
            for (int head = 0; head < 3; head++) {
                for (int v = 0; v < 2; v++) {
                    double sum = 0;
                    for (int i = 0; i < 11; i++) {
                        sum += element(x, row, head * 11 + i) * at(kvB, head * 7 + 5 + v, i);
                    }
                    assertEquals(sum, element(out, row, head * 2 + v), 1e-5);
                }
            }
        }
        assertOutsideUnchanged(before, out);
    }
}
