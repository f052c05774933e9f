package dev.gyre.model.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.WorkerPool;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.concurrent.ConcurrentLinkedQueue;

/** Random weights: the same however they are made, and of a size that keeps activations finite. */
class DummyWeightsTest {
    private static final String NAME = "model.layers.3.self_attn.o_proj.weight";

    private static WeightFormat format(DType dtype) {
        return new WeightFormat(dtype == DType.F8_E4M3 ? DType.BF16 : dtype, dtype == DType.F8_E4M3, 128, 96);
    }

    private static Weight unmade(DType dtype, int rows, int columns) {
        try (DummyWeights weights = DummyWeights.unmade(format(dtype))) {
            return weights.matrix(NAME, rows, columns);
        }
    }

    private static byte[] bytes(MemorySegment segment) {
        return segment.toArray(ValueLayout.JAVA_BYTE);
    }

    private static byte[] copyOfData(Weight weight) {
        byte[] copy = new byte[(int) weight.elements() * weight.dtype().bytes() + 3];
        weight.copyData(MemorySegment.ofArray(copy), 3);
        return Arrays.copyOfRange(copy, 3, copy.length);
    }

    private static byte[] copyOfScales(Weight weight) {
        byte[] copy = new byte[(int) weight.blocks() * Float.BYTES + 3];
        weight.copyScales(MemorySegment.ofArray(copy), 3);
        return Arrays.copyOfRange(copy, 3, copy.length);
    }

    /** More elements than a thread makes at a time, rows that end within a hashed word, the last block cut off. */
    @ParameterizedTest
    @EnumSource(DType.class)
    void theSameInMemoryInACopyAndDecoded(DType dtype) {
        Weight unmade = unmade(dtype, 1501, 1001);
        try (WorkerPool one = new WorkerPool(1);
                WorkerPool three = new WorkerPool(3);
                DummyWeights alone = DummyWeights.inMemory(format(dtype), one, LoadListener.NONE, unmade.bytes());
                DummyWeights together = DummyWeights.inMemory(format(dtype), three, LoadListener.NONE, 1)) {
            Weight made = alone.matrix(NAME, 1501, 1001);
            assertEquals(dtype, made.dtype());
            assertEquals(unmade.bytes(), alone.bytes());
            assertArrayEquals(bytes(made.data()), bytes(together.matrix(NAME, 1501, 1001).data()));
            assertArrayEquals(bytes(made.data()), copyOfData(unmade));
            assertArrayEquals(bytes(made.data()), copyOfData(made));
            if (dtype == DType.F8_E4M3) {
                assertArrayEquals(bytes(made.scales()), copyOfScales(unmade));
                assertArrayEquals(bytes(made.scales()), copyOfScales(made));
            }
            float[] expected = new float[1001];
            float[] found = new float[1001];
            for (int row = 0; row < 1501; row += 300) {
                made.decodeRow(row, expected);
                unmade.decodeRow(row, found);
                assertArrayEquals(expected, found);
                unmade.decode(row, 95, 98, found);
                assertArrayEquals(Arrays.copyOfRange(expected, 95, 98), Arrays.copyOf(found, 3));
                assertEquals(expected[97], made.value(row, 97));
            }
        }
    }

    /** Mean 0, variance 1 / columns, no two rows alike; in FP8 no two blocks either. */
    @ParameterizedTest
    @EnumSource(DType.class)
    void sizes(DType dtype) {
        int columns = 1001;
        Weight weight = unmade(dtype, 500, columns);
        double sum = 0;
        double squares = 0;
        float[] row = new float[columns];
        float[] before = new float[columns];
        for (int r = 0; r < 500; r++) {
            weight.decodeRow(r, row);
            assertFalse(Arrays.equals(before, row));
            for (int c = 0; c < columns; c++) {
                assertTrue(Math.abs(row[c]) < 5 / Math.sqrt(columns), "element " + row[c]);
                sum += row[c];
                squares += (double) row[c] * row[c];
            }
            before = row.clone();
        }
        int count = 500 * columns;
        assertEquals(0, sum / count, 5 / Math.sqrt((double) count * columns));
        // in FP8 there are few blocks, whose scales are their own
        assertEquals(1, squares / count * columns, dtype == DType.F8_E4M3 ? 0.1 : 0.01);
        if (dtype == DType.F8_E4M3) {
            assertNotEquals(weight.scale(0, 95), weight.scale(0, 96));
            assertNotEquals(weight.scale(127, 0), weight.scale(128, 0));
        }
    }

    @Test
    void otherNamesAreOtherNumbers() {
        try (DummyWeights weights = DummyWeights.unmade(format(DType.F8_E4M3))) {
            Weight one = weights.matrix("model.layers.3.mlp.experts.0.up_proj.weight", 4, 8);
            Weight other = weights.matrix("model.layers.3.mlp.experts.1.up_proj.weight", 4, 8);
            assertFalse(Arrays.equals(copyOfData(one), copyOfData(other)));
        }
    }

    @Test
    void gainsAndBiases() {
        try (DummyWeights weights = DummyWeights.unmade(format(DType.BF16))) {
            for (String gain : new String[] {"model.norm.weight", "model.layers.0.self_attn.indexer.k_norm.weight"}) {
                assertArrayEquals(new float[] {1, 1, 1}, weights.vector(gain, 3).toArray());
            }
            Weight bias = weights.vector("model.layers.0.self_attn.indexer.k_norm.bias", 3);
            assertArrayEquals(new float[3], bias.toArray());
            Weight correction = weights.vector("model.layers.3.mlp.gate.e_score_correction_bias", 3);
            assertEquals(DType.F32, correction.dtype());
            assertArrayEquals(new float[3], correction.toArray());
        }
    }

    @Test
    void tellsHowFarItIs() {
        ConcurrentLinkedQueue<Long> heard = new ConcurrentLinkedQueue<>();
        LoadListener listener = new LoadListener() {
            @Override
            public void loaded(long bytes, long of) {
                assertEquals(4000 * 1000 + 32 * 11 * 4, of);
                heard.add(bytes);
            }
        };
        long total = unmade(DType.F8_E4M3, 4000, 1000).bytes();
        try (WorkerPool pool = new WorkerPool(2);
                DummyWeights weights = DummyWeights.inMemory(format(DType.F8_E4M3), pool, listener, total)) {
            weights.matrix(NAME, 4000, 1000);
        }
        assertEquals(0, heard.peek());
        assertTrue(heard.size() > 4 && heard.contains(total), heard.toString());
    }
}
