package dev.gyre.tornado.decoder;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Providers;
import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.tornado.TornadoDevices;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.LinearKernels;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Products with weights of every format and odd sizes against sums over {@link Weight#value}. */
class ProductsTest {
    private static final int MOST_ROWS = 13;

    private final Random random = new Random(8);

    /** A product of one recording: its weight, what goes in, and what comes out. */
    private record Product(Weight weight, FloatArray x, FloatArray out) {}

    private Weight weight(DType dtype, int rows, int columns) {
        int block = 16;
        MemorySegment data = Arena.ofAuto().allocate((long) rows * columns * dtype.bytes(), 4);
        for (int i = 0; i < rows * columns; i++) {
            float value = (float) random.nextGaussian();
            switch (dtype) {
                case F8_E4M3 -> data.set(ValueLayout.JAVA_BYTE, i, Fp8E4M3.encode(value));
                case BF16 -> data.setAtIndex(ValueLayout.JAVA_SHORT, i, Bf16.encode(value));
                default -> data.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
            }
        }
        String name = dtype + " " + rows + " x " + columns;
        if (dtype != DType.F8_E4M3) {
            return new Weight(name, dtype, rows, columns, data);
        }
        int scales = Math.ceilDiv(rows, block) * Math.ceilDiv(columns, block);
        MemorySegment factors = Arena.ofAuto().allocate(scales * 4L, 4);
        for (int i = 0; i < scales; i++) {
            factors.setAtIndex(ValueLayout.JAVA_FLOAT, i, 0.5f + random.nextFloat());
        }
        return new Weight(name, dtype, rows, columns, data, factors, block, block);
    }

    @Test
    void everyFormatAndOddSizes() {
        AttentionProvider tornado = Providers.load().all().stream()
                .filter(provider -> provider.name().equals("tornado"))
                .findFirst()
                .orElseThrow();
        Assumptions.assumeTrue(tornado.missing().isEmpty(), tornado.missing().toString());
        List<Product> products = new ArrayList<>();
        for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F8_E4M3}) {
            for (int[] size : new int[][] {{1, 1}, {5, 13}, {16, 128}, {33, 207}, {70, 260}}) {
                Weight weight = weight(dtype, size[0], size[1]);
                FloatArray x = DeviceArrays.floats(MOST_ROWS * weight.columns());
                for (int i = 0; i < x.getSize(); i++) {
                    x.set(i, (float) random.nextGaussian());
                }
                FloatArray out = DeviceArrays.floats(MOST_ROWS * weight.rows());
                products.add(new Product(weight, x, out));
            }
        }
        WeightPool weights = new WeightPool();
        try (Recording recording = new Recording(
                List.of(new Stage(TornadoDevices.preferred(), weights)), GraphCut.Limits.TORNADO)) {
            IntArray counts = DeviceArrays.ints(1);
            recording.always(counts);
            FloatArray table = Decode.table();
            for (Product product : products) {
                int rows = product.weight().rows();
                int columns = product.weight().columns();
                WeightPool.Place place = weights.place(List.of(product.weight()));
                int op = recording.shape(RowCalls.join(
                        new int[] {0, rows, 0, columns, 0, rows, 1, 0, 0, 0, 0}, place.numbers()));
                recording.call("product", 3, LinearKernels.BLOCK, LinearKernels.LOCAL_BYTES,
                        call -> call.kernel(LinearKernels::kLinear, counts, recording.shapes(), op, product.x(),
                                weights.ints(place), weights.floats(), table, product.out()));
                recording.onDemand(product.out());
            }
            for (int rows : new int[] {1, 8, 9, MOST_ROWS, 0}) {
                counts.set(0, rows);
                recording.run(0);
                for (Product product : products) {
                    recording.fetch(product.out());
                    check(product, rows);
                }
            }
        }
    }

    private static void check(Product product, int rows) {
        Weight weight = product.weight();
        float[] expected = new float[rows * weight.rows()];
        for (int i = 0; i < expected.length; i++) {
            double sum = 0;
            for (int c = 0; c < weight.columns(); c++) {
                sum += product.x().get(i / weight.rows() * weight.columns() + c)
                        * (double) weight.value(i % weight.rows(), c);
            }
            expected[i] = (float) sum;
        }
        float[] found = product.out().toHeapArray();
        assertArrayEquals(expected, Arrays.copyOf(found, expected.length), 2e-3f, weight.name() + ", rows " + rows);
        assertEquals(MOST_ROWS * weight.rows(), found.length);
    }
}
