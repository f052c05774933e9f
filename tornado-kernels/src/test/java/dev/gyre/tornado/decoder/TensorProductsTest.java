package dev.gyre.tornado.decoder;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.tornado.TornadoDevices;
import dev.gyre.tornado.graph.DeviceArrays;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Products on tensor cores against sums over {@link Weight#value}: they lose no more than f32 does. */
class TensorProductsTest {
    private static final int MOST_ROWS = 70;
    private static final int BLOCKS = 2112;
    /** Of what the magnitudes of a sum add up to. */
    private static final double LOST = 3e-6;

    private final Random random = new Random(4);

    /** A product of one recording. */
    private record Product(Weight weight, TensorProducts.Groups groups, DeviceTensor x, DeviceTensor out) {}

    private Weight weight(DType dtype, int rows, int columns) {
        MemorySegment data = Arena.ofAuto().allocate((long) rows * columns * dtype.bytes(), 4);
        for (int i = 0; i < rows * columns; i++) {
            float value = (float) random.nextGaussian() * 20;
            if (dtype == DType.F8_E4M3) {
                // every code that is a number, so also the smallest
                int code = i % 7 == 0 ? random.nextInt(256) : Fp8E4M3.encode(value) & 255;
                data.set(ValueLayout.JAVA_BYTE, i, (byte) ((code & 127) == 127 ? 0 : code));
            } else {
                data.setAtIndex(ValueLayout.JAVA_SHORT, i, Bf16.encode(value));
            }
        }
        String name = dtype + " " + rows + " x " + columns;
        if (dtype != DType.F8_E4M3) {
            return new Weight(name, dtype, rows, columns, data);
        }
        int scales = Math.ceilDiv(rows, 128) * (columns / 128);
        MemorySegment factors = Arena.ofAuto().allocate(scales * 4L, 4);
        for (int i = 0; i < scales; i++) {
            factors.setAtIndex(ValueLayout.JAVA_FLOAT, i, 0.5f + random.nextFloat());
        }
        return new Weight(name, dtype, rows, columns, data, factors, 128, 128);
    }

    /** Numbers of very different size, and in places zeros. */
    private DeviceTensor numbers(int rows, int columns) {
        DeviceTensor tensor = DeviceTensor.allocate(rows, columns);
        for (int i = 0; i < rows * columns; i++) {
            tensor.data().set(i, i / 128 % 11 == 3 ? 0f : (float) (random.nextGaussian() * Math.exp(i / 128 % 9 * 3 - 12)));
        }
        return tensor;
    }

    private static void check(Weight weight, DeviceTensor x, int row, int from, int weightRow, float found) {
        double sum = 0;
        double size = 0;
        for (int c = 0; c < weight.columns(); c++) {
            double part = x.data().get(x.offset() + row * x.stride() + from + c) * (double) weight.value(weightRow, c);
            sum += part;
            size += Math.abs(part);
        }
        assertEquals(sum, found, LOST * size + 1e-30, weight.name() + ", row " + row + ", output " + weightRow);
    }

    @Test
    void asExactAsF32() {
        Assumptions.assumeTrue(TornadoDevices.tensorCores(), "needs NVIDIA's tensor cores");
        List<Product> products = new ArrayList<>();
        for (DType dtype : new DType[] {DType.F8_E4M3, DType.BF16}) {
            for (int[] size : new int[][] {{64, 128}, {192, 256}, {576, 1152}, {128, 4096}}) {
                Weight weight = weight(dtype, size[0], size[1]);
                DeviceTensor x = numbers(MOST_ROWS, weight.columns() + 128).columns(128, weight.columns());
                products.add(new Product(weight, TensorProducts.Groups.one(size[0]), x,
                        DeviceTensor.allocate(MOST_ROWS, size[0])));
            }
        }
        // heads, as W_UV has them
        products.add(new Product(weight(DType.F8_E4M3, 5 * 256, 512), new TensorProducts.Groups(5, 128, 512, 256, 128),
                numbers(MOST_ROWS, 5 * 512), DeviceTensor.allocate(MOST_ROWS, 5 * 128)));
        WeightPool weights = new WeightPool();
        StepInputs inputs = StepInputs.allocate(MOST_ROWS, 1);
        try (Recording recording = new Recording(
                List.of(new Stage(TornadoDevices.preferred(), weights)), GraphCut.Limits.TORNADO)) {
            recording.always(inputs.counts());
            TensorProducts calls = new TensorProducts(recording, inputs, MOST_ROWS, BLOCKS);
            for (Product product : products) {
                WeightPool.Place place = weights.place(List.of(product.weight()));
                assertTrue(TensorProducts.serves(place, product.groups()));
                calls.product("product", StepInputs.ROWS, product.x(), place, product.groups(), product.out());
                recording.onDemand(product.out().data());
            }
            for (int rows : new int[] {1, 8, 9, 33, MOST_ROWS, 0}) {
                inputs.rows(rows);
                recording.run(0);
                for (Product product : products) {
                    recording.fetch(product.out().data());
                    check(product, rows);
                }
            }
        }
    }

    private static void check(Product product, int rows) {
        TensorProducts.Groups groups = product.groups();
        int columns = groups.groups() * groups.outputs();
        for (int i = 0; i < rows * columns; i += 1 + i % 7) {
            int group = i % columns / groups.outputs();
            check(product.weight(), product.x(), i / columns, group * groups.xColumns(),
                    group * groups.weightRows() + groups.firstRow() + i % groups.outputs(), product.out().data().get(i));
        }
    }

    @Test
    void rowsOfExperts() {
        Assumptions.assumeTrue(TornadoDevices.tensorCores(), "needs NVIDIA's tensor cores");
        int inner = 256;
        int hidden = 384;
        int[] counts = {3, 0, 9, 0, 40, 1};
        List<Weight> gates = new ArrayList<>();
        List<Weight> ups = new ArrayList<>();
        List<Weight> downs = new ArrayList<>();
        for (int e = 0; e < counts.length; e++) {
            gates.add(weight(DType.F8_E4M3, inner, hidden));
            ups.add(weight(DType.F8_E4M3, inner, hidden));
            downs.add(weight(DType.F8_E4M3, hidden, inner));
        }
        int entries = 2 * MOST_ROWS;
        IntArray lists = DeviceArrays.ints(counts.length + 1 + entries);
        IntArray active = IntArray.fromElements(4, 0, 2, 4, 5, 0, 0);
        int at = 0;
        for (int e = 0; e < counts.length; e++) {
            for (int i = 0; i < counts[e]; i++) {
                lists.set(counts.length + 1 + at++, random.nextInt(MOST_ROWS));
            }
            lists.set(e + 1, at);
        }
        DeviceTensor x = DeviceTensor.allocate(MOST_ROWS, hidden);
        for (int i = 0; i < x.data().getSize(); i++) {
            x.data().set(i, (float) random.nextGaussian() / 100);
        }
        DeviceTensor out = DeviceTensor.allocate(entries, hidden);
        out.data().init(Float.NaN);
        WeightPool weights = new WeightPool();
        StepInputs inputs = StepInputs.allocate(MOST_ROWS, 1);
        try (Recording recording = new Recording(
                List.of(new Stage(TornadoDevices.preferred(), weights)), GraphCut.Limits.TORNADO)) {
            recording.always(inputs.counts(), lists, active);
            TensorProducts calls = new TensorProducts(recording, inputs, MOST_ROWS, BLOCKS);
            calls.mlp(StepInputs.ROWS, new TensorProducts.Lists(lists, active, entries, 2), x, weights.place(gates),
                    weights.place(ups), weights.place(downs), TensorProducts.Groups.experts(counts.length, inner),
                    TensorProducts.Groups.experts(counts.length, hidden), out);
            recording.onDemand(out.data());
            inputs.rows(MOST_ROWS);
            recording.run(0);
            recording.fetch(out.data());
        }
        for (int e = 0; e < counts.length; e++) {
            for (int entry = lists.get(e); entry < lists.get(e + 1); entry++) {
                checkMlp(gates.get(e), ups.get(e), downs.get(e), x, lists.get(counts.length + 1 + entry), out.data(),
                        entry * hidden);
            }
        }
    }

    private static void checkMlp(
            Weight gate, Weight up, Weight down, DeviceTensor x, int row, FloatArray out, int at) {
        double[] inner = new double[gate.rows()];
        for (int i = 0; i < inner.length; i++) {
            double g = 0;
            double u = 0;
            for (int c = 0; c < gate.columns(); c++) {
                double value = x.data().get(row * gate.columns() + c);
                g += value * gate.value(i, c);
                u += value * up.value(i, c);
            }
            inner[i] = g / (1 + Math.exp(-g)) * u;
        }
        for (int o = 0; o < down.rows(); o += 5) {
            double sum = 0;
            double size = 0;
            for (int i = 0; i < inner.length; i++) {
                sum += inner[i] * down.value(o, i);
                size += Math.abs(inner[i] * down.value(o, i));
            }
            assertEquals(sum, out.get(at + o), 1e-5 * size, "row " + row + ", output " + o);
        }
    }

    @Test
    void servesWholeBlocksAlone() {
        WeightPool pool = new WeightPool();
        assertTrue(TensorProducts.serves(pool.place(List.of(weight(DType.BF16, 64, 256))), TensorProducts.Groups.one(64)));
        assertFalse(TensorProducts.serves(pool.place(List.of(weight(DType.BF16, 60, 256))), TensorProducts.Groups.one(60)));
        assertFalse(TensorProducts.serves(pool.place(List.of(weight(DType.BF16, 64, 192))), TensorProducts.Groups.one(64)));
    }
}
