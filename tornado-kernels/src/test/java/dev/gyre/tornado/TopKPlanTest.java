package dev.gyre.tornado;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.kernels.TopKKernels;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Both forms of top-k, one block a row and rows shared among blocks, against a sort: many lengths, hard scores. */
class TopKPlanTest {
    private static final int K = 2048;
    private static final int[] LENGTHS = {1, 13, 207, 2046, 2047, 2048, 2049, 2050, 3072, 5000, 8191, 32_768, 40_000};

    /** What a row's scores are like. */
    enum Scores {
        NORMAL, NEGATIVE, EQUAL, MOSTLY_ZERO, ROUNDED, ONE_TIE_BEYOND, HALF_NAN, ALL_NAN, ASCENDING, DESCENDING,
        /** The sample is far above all others. */
        SAMPLE_HIGH,
        /** The sample is far below all others. */
        SAMPLE_LOW;

        float next(Random random, int i, int n) {
            float normal = (float) random.nextGaussian();
            return switch (this) {
                case NORMAL -> normal;
                case NEGATIVE -> -1000 - Math.abs(normal);
                case EQUAL -> -2.5f;
                case MOSTLY_ZERO -> normal > 2 ? normal : random.nextBoolean() ? 0f : -0f;
                case ROUNDED -> Math.round(normal * 8) / 8f;
                // 2000 are higher, more than K equal the next
                case ONE_TIE_BEYOND -> i * 7919L % n < 2000 ? 2 + normal * normal : i % 2 == 0 ? 1f : -1f;
                case HALF_NAN -> random.nextBoolean() ? normal : Float.intBitsToFloat(random.nextBoolean() ? -1 : 0x7fc00001);
                case ALL_NAN -> Float.NaN;
                case ASCENDING -> i;
                case DESCENDING -> -i;
                case SAMPLE_HIGH -> sampled(i, n) ? 1e9f + i : normal;
                case SAMPLE_LOW -> sampled(i, n) ? -1e9f - i : normal;
            };
        }

        private static boolean sampled(int i, int n) {
            long near = (long) i * 256 / n;
            return n >= 2 * 256 && (at(near, n) == i || at(near + 1, n) == i);
        }

        private static long at(long sample, int n) {
            return sample * (n / 256) + sample * (n % 256) / 256;
        }
    }

    private TornadoDevice device;

    @BeforeEach
    void pickDevice() {
        Scene.provider("tornado"); // skips where there is none
        device = Devices.pick(null);
    }

    private static int[] best(int[] bits, int k) {
        int[] keys = IntStream.of(bits)
                .map(b -> Float.isNaN(Float.intBitsToFloat(b)) ? Integer.MIN_VALUE : b < 0 ? -(b & 0x7fffffff) : b)
                .toArray();
        long[] order = new long[bits.length];
        for (int i = 0; i < order.length; i++) {
            order[i] = -((long) keys[i]) * (1L << 31) + i;
        }
        Arrays.sort(order);
        int[] best = new int[k];
        Arrays.fill(best, -1);
        for (int i = 0; i < Math.min(k, order.length); i++) {
            best[i] = (int) Math.floorMod(order[i], 1L << 31);
        }
        Arrays.sort(best, 0, Math.min(k, order.length));
        return best;
    }

    private void check(TopKPlan arrays, int[] lengths, Scores kind) {
        Random random = new Random(kind.ordinal());
        int[][] bits = new int[lengths.length][];
        arrays.scores().init(0x7f800000); // infinities, where no row reads
        arrays.positions().init(12_345);
        arrays.slots().init(12_345);
        for (int i = 0; i < arrays.rows().tables().getSize(); i++) {
            arrays.rows().tables().set(i, (int) (i * 7919L % 10_007));
        }
        for (int row = 0; row < lengths.length; row++) {
            int n = lengths[row];
            bits[row] = new int[n];
            for (int i = 0; i < n; i++) {
                bits[row][i] = Float.floatToRawIntBits(kind.next(random, i, n));
                arrays.scores().set(row * arrays.most() + i, bits[row][i]);
            }
            arrays.rows().visible().set(row, n);
        }
        arrays.set(lengths.length);
        try (DevicePlan plan = new DevicePlan(device, List.of(arrays.graph()))) {
            plan.run(0);
        }
        for (int row = 0; row < lengths.length; row++) {
            int[] expected = best(bits[row], K);
            int[] positions = new int[K];
            int[] slots = new int[K];
            int[] expectedSlots = new int[K];
            for (int i = 0; i < K; i++) {
                positions[i] = arrays.positions().get(row * K + i);
                slots[i] = arrays.slots().get(row * K + i);
                int page = row * arrays.rows().stride() + expected[i] / 64;
                expectedSlots[i] = expected[i] < 0 ? -1
                        : arrays.rows().tables().get(page) * 64 + expected[i] % 64;
            }
            assertArrayEquals(expected, positions, kind + " of " + lengths[row]);
            assertArrayEquals(expectedSlots, slots, kind + " of " + lengths[row] + ", slots");
        }
    }

    @ParameterizedTest
    @EnumSource(Scores.class)
    void oneBlockARow(Scores kind) {
        TopKPlan arrays = new TopKPlan(TopKKernels.MANY_ROWS, K, 40_000, TornadoTopK.threads(device));
        assertEquals(1, arrays.graph().calls().size());
        check(arrays, LENGTHS, kind);
    }

    /** Blocks of every size that a device may have, rows about the lengths where the layout of flags changes. */
    @ParameterizedTest
    @ValueSource(ints = {64, 128, 256, 512})
    void smallerBlocks(int threads) {
        int[] lengths = {0, 1, 63, 64, 65, 255, 1023, 1024, 1025, 3000};
        for (Scores kind : new Scores[] {Scores.NORMAL, Scores.ALL_NAN, Scores.MOSTLY_ZERO}) {
            check(new TopKPlan(TopKKernels.MANY_ROWS, K, 4096, threads), lengths, kind);
        }
    }

    @Test
    void rowsThatAreTooLong() {
        EngineException e = assertThrows(
                EngineException.class, () -> new TopKPlan(1, K, TopKKernels.LONGEST, 1024));
        assertTrue(e.getMessage().contains("--dsa-topk-backend vector"), e.getMessage());
    }

    @ParameterizedTest
    @EnumSource(Scores.class)
    void sharedRows(Scores kind) {
        TopKPlan arrays = new TopKPlan(16, K, 163_840, TornadoTopK.threads(device));
        assertEquals(2, arrays.graph().calls().size());
        int[] lengths = Arrays.copyOf(LENGTHS, LENGTHS.length + 2);
        lengths[LENGTHS.length] = 163_839;
        lengths[LENGTHS.length + 1] = 163_840;
        check(arrays, lengths, kind);
    }
}
