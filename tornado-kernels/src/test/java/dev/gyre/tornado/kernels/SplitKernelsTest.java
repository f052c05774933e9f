package dev.gyre.tornado.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.backend.Providers;
import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.tornado.TornadoDevices;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;

import java.util.List;
import java.util.Random;

/** What tensor cores are given, on any device: numbers in halves and in three, packed queries, gathered latents. */
class SplitKernelsTest {
    private static final int ROWS = 3;
    private static final int BLOCKS = 2;
    private static final int COLUMNS = BLOCKS * 128;

    private final Random random = new Random(6);

    @BeforeEach
    void needsADevice() {
        Providers.load().all().stream()
                .filter(provider -> provider.name().equals("tornado"))
                .forEach(provider -> Assumptions.assumeTrue(provider.missing().isEmpty(), provider.missing().toString()));
    }

    private static void run(Call call, Object[] inputs, Object... results) {
        KernelGraph graph = new KernelGraph("g").once(results).always(inputs).then(call).results(results);
        assertEquals(List.of(), graph.complaints());
        try (DevicePlan plan = new DevicePlan(TornadoDevices.preferred(), List.of(graph))) {
            plan.run(0);
        }
    }

    private FloatArray numbers(int size) {
        FloatArray x = DeviceArrays.floats(size);
        for (int i = 0; i < size; i++) {
            x.set(i, (float) (random.nextGaussian() * Math.exp(i / 128 % 5 * 4 - 8)));
        }
        return x;
    }

    /** A number of halves, without its scale. */
    private static double halves(int split) {
        return 2048.0 * Float.float16ToFloat((short) split) + Float.float16ToFloat((short) (split >> 16));
    }

    private static double three(long split) {
        return 65536.0 * Bf16.decode((short) split) + 256.0 * Bf16.decode((short) (split >> 16))
                + Bf16.decode((short) (split >> 32));
    }

    private static double largest(FloatArray x, int from) {
        double most = 0;
        for (int i = from; i < from + 128; i++) {
            most = Math.max(most, Math.abs(x.get(i)));
        }
        return most;
    }

    @Test
    void rowsInHalvesAndInThree() {
        FloatArray x = numbers(1 + ROWS * (COLUMNS + 5));
        for (int i = 0; i < 128; i++) {
            x.set(1 + i, 0f); // a block of zeros
        }
        x.set(1 + 128, -70_000f);
        x.set(1 + (COLUMNS + 5) + 3, Float.NaN);
        IntArray step = IntArray.fromElements(ROWS);
        IntArray shape = IntArray.fromElements(9, 0, BLOCKS, 1, COLUMNS + 5);
        IntArray split = DeviceArrays.ints(ROWS * COLUMNS);
        FloatArray scales = DeviceArrays.floats(ROWS * BLOCKS);
        IntArray halves = SplitKernels.halves();
        run(Call.of("split", 2, 128, SplitKernels.LOCAL_BYTES)
                        .kernel(SplitKernels::kSplit, step, shape, 1, x, halves, split, scales),
                new Object[] {step, shape, x, halves}, split, scales);
        LongArray threes = DeviceArrays.longs(ROWS * COLUMNS);
        FloatArray finer = DeviceArrays.floats(ROWS * BLOCKS);
        IntArray bytes = SplitKernels.bytes();
        run(Call.of("three", 2, 128, SplitKernels.LOCAL_BYTES)
                        .kernel(SplitKernels::kSplitThree, step, shape, 1, x, bytes, threes, finer),
                new Object[] {step, shape, x, bytes}, threes, finer);
        for (int i = 0; i < ROWS * COLUMNS; i++) {
            int block = i / 128;
            int from = 1 + i / COLUMNS * (COLUMNS + 5) + i % COLUMNS;
            if (block == 2) {
                assertTrue(Float.isInfinite(scales.get(block)) && Float.isInfinite(finer.get(block)));
                continue;
            }
            double most = largest(x, from - i % 128);
            assertEquals(x.get(from), halves(split.get(i)) * scales.get(block), most * 4e-7, "number " + i);
            assertEquals(x.get(from), three(threes.get(i)) * finer.get(block), most * 3e-7, "number " + i);
        }
    }

    @Test
    void gatedPartsAndSums() {
        int parts = 3;
        FloatArray gate = numbers(parts * ROWS * COLUMNS);
        FloatArray up = numbers(parts * ROWS * COLUMNS);
        IntArray lists = IntArray.fromElements(7, ROWS);
        IntArray shape = IntArray.fromElements(1, BLOCKS, parts, ROWS, 0, ROWS, 2, COLUMNS + 3);
        IntArray halves = SplitKernels.halves();
        IntArray split = DeviceArrays.ints(ROWS * COLUMNS);
        FloatArray scales = DeviceArrays.floats(ROWS * BLOCKS);
        run(Call.of("gated", 4, 128, SplitKernels.LOCAL_BYTES)
                        .kernel(SplitKernels::kSplitGated, lists, shape, 0, gate, up, halves, split, scales),
                new Object[] {lists, shape, gate, up, halves}, split, scales);
        FloatArray expected = DeviceArrays.floats(ROWS * COLUMNS);
        for (int i = 0; i < ROWS * COLUMNS; i++) {
            double g = 0;
            double u = 0;
            for (int part = 0; part < parts; part++) {
                g += gate.get(part * ROWS * COLUMNS + i);
                u += up.get(part * ROWS * COLUMNS + i);
            }
            expected.set(i, (float) (g / (1 + Math.exp(-g)) * u));
        }
        for (int i = 0; i < ROWS * COLUMNS; i++) {
            double most = largest(expected, i / 128 * 128);
            assertEquals(expected.get(i), halves(split.get(i)) * scales.get(i / 128), most * 1e-5, "number " + i);
        }
        IntArray step = IntArray.fromElements(ROWS);
        IntArray summed = IntArray.fromElements(0, COLUMNS, parts, ROWS, 2, COLUMNS + 3);
        FloatArray out = DeviceArrays.floats(2 + ROWS * (COLUMNS + 3));
        run(Call.of("sum", 3, 128, 0).kernel(SplitKernels::kSumParts, step, summed, 0, gate, out),
                new Object[] {step, summed, gate}, out);
        for (int i = 0; i < ROWS * COLUMNS; i++) {
            float sum = gate.get(i) + gate.get(ROWS * COLUMNS + i) + gate.get(2 * ROWS * COLUMNS + i);
            assertEquals(sum, out.get(2 + i / COLUMNS * (COLUMNS + 3) + i % COLUMNS), Math.abs(sum) * 1e-5f + 1e-6f);
        }
    }

    @Test
    void indexQueries() {
        int size = 2 * MmaScoreKernels.PACKED_INTS;
        IntArray meta = IntArray.fromElements(2);
        float[] q = numbers(2 * size).toHeapArray();
        FloatArray queries = FloatArray.fromArray(q);
        FloatArray w = numbers(128);
        IntArray halves = SplitKernels.halves();
        IntArray packed = DeviceArrays.ints(size);
        FloatArray weights = DeviceArrays.floats(128);
        run(Call.of("pack", 5, 128, MmaPackKernels.PACK_BYTES)
                        .kernel(MmaPackKernels::kPackIndex, meta, queries, w, halves, packed, weights),
                new Object[] {meta, queries, w, halves}, packed, weights);
        // numbers of the host's order that say where they were: what is packed times its scale is what was there
        float[] place = new float[2 * size];
        for (int i = 0; i < place.length; i++) {
            place[i] = i % 2048;
        }
        IntArray order = DeviceArrays.ints(size);
        MmaScoreKernels.pack(place, 0, 2, order);
        for (int i = 0; i < size; i++) {
            for (int half = 0; half < 2; half++) {
                int low = (int) Float.float16ToFloat((short) (order.get(i) >> (16 * half)));
                int pair = i % MmaScoreKernels.PACKED_INTS / 64 % 8 * 4 + i % 4;
                int head = i / MmaScoreKernels.PACKED_INTS * 64 + pair * 2 + half;
                int at = head * 128 + (low % 128);
                double most = 0;
                for (int d = 0; d < 128; d++) {
                    most = Math.max(most, Math.abs(q[head * 128 + d]));
                }
                double found = Float.float16ToFloat((short) (packed.get(i) >> (16 * half))) / 2048 * most;
                assertEquals(q[at], found, most / 4000, "int " + i + ", half " + half);
                assertEquals(w.get(head) * most / 2048, weights.get(head), Math.abs(w.get(head) * most) * 1e-6);
            }
        }
    }

    @Test
    void gatheredLatents() {
        int slots = 70;
        int k = 4;
        IntArray codes = DeviceArrays.ints(Decode.LEAD + slots * 160);
        for (int i = 0; i < slots * 160; i++) {
            codes.set(Decode.LEAD + i, random.nextInt() & 0x7e7e7e7e);
        }
        FloatArray scales = DeviceArrays.floats(slots * 4);
        for (int i = 0; i < scales.getSize(); i++) {
            scales.set(i, 0.01f + random.nextFloat());
        }
        IntArray meta = IntArray.fromElements(2, k, slots);
        IntArray selected = IntArray.fromElements(69, -1, 0, slots, 5, 5, -1, 33);
        FloatArray table = Decode.table();
        IntArray places = DeviceArrays.ints(2 * k);
        IntArray latents = DeviceArrays.ints(Decode.LEAD + 2 * k * 288);
        run(Call.of("gather", 3, 256, 0)
                        .kernel(MmaPackKernels::kGather, meta, selected, codes, scales, table, places, latents),
                new Object[] {meta, selected, codes, scales, table}, places, latents);
        for (int token = 0; token < 2 * k; token++) {
            int slot = selected.get(token);
            boolean valid = slot >= 0 && slot < slots;
            assertEquals(valid ? token : -1, places.get(token));
            for (int d = 0; d < 576 && valid; d++) {
                int pair = latents.get(Decode.LEAD + token * 288 + d / 2);
                short found = (short) (pair >> (16 * (d % 2)));
                if (d < 512) {
                    int code = codes.get(Decode.LEAD + slot * 160 + d / 4) >> (8 * (d % 4)) & 255;
                    float value = Fp8E4M3.table()[code] * scales.get(slot * 4 + d / 128);
                    assertEquals(Bf16.encode(value), found, "slot " + slot + ", " + d);
                } else {
                    int plain = codes.get(Decode.LEAD + slot * 160 + 128 + (d - 512) / 2);
                    assertEquals((short) (plain >> (16 * (d % 2))), found, "slot " + slot + ", " + d);
                }
            }
        }
    }
}
