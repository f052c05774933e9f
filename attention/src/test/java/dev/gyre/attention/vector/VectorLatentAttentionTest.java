package dev.gyre.attention.vector;

import static dev.gyre.attention.Randoms.normal;
import static dev.gyre.attention.vector.Close.assertClose;
import static dev.gyre.attention.vector.Close.assertSameBits;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Scene;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.Resources;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.reference.ReferenceLatentAttention;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.Arrays;
import java.util.Random;

class VectorLatentAttentionTest {
    private static final double TOLERANCE = 1e-5;
    private static final int[] LENGTHS = {1, 13, 63, 64, 65, 207, 2046, 2049};
    /** Heads, latent and rope; the widest with few tokens, because the reference decodes a row for every head. */
    private static final int[][] SIZES = {
        {1, 7, 2}, {3, 27, 6}, {5, 27, 64}, {4, 512, 2}, {5, 7, 6}, {1, 512, 64}, {64, 27, 2}, {3, 512, 64}};

    private final WorkerPool pool = new WorkerPool(2);
    private final LatentAttention vector = new VectorProvider().latentAttention(Resources.of(pool));
    private final LatentAttention reference = new ReferenceLatentAttention(pool);
    private final Random random = new Random(41);

    @AfterEach
    void endThreads() {
        pool.close();
    }

    private MlaQueries queries(int rows, int heads, int latent, int rope) {
        float scale = (float) (1 / Math.sqrt(latent + rope));
        return new MlaQueries(normal(random, rows * heads * (latent + rope)), heads, latent, rope, scale);
    }

    private static float[] poisoned(MlaQueries queries, int rows) {
        float[] out = new float[rows * queries.heads() * queries.latent()];
        Arrays.fill(out, Float.NaN);
        return out;
    }

    private static float[] sparse(LatentAttention attention, MlaQueries queries, Scene scene, int[] slots, int rows) {
        float[] out = poisoned(queries, rows);
        attention.sparse(queries, scene.cache.latents(0), slots, rows, slots.length / rows, out);
        return out;
    }

    private static float[] dense(LatentAttention attention, MlaQueries queries, Scene scene, QueryRows rows) {
        float[] out = poisoned(queries, rows.rows());
        attention.dense(queries, scene.cache.latents(0), rows, out);
        return out;
    }

    /** Each head against its own largest value. */
    private static void compare(MlaQueries queries, float[] expected, float[] found, String what) {
        for (int at = 0; at < expected.length; at += queries.latent()) {
            String where = what + ", row and head " + at / queries.latent();
            assertClose(expected, found, at, at + queries.latent(), TOLERANCE, where);
        }
    }

    /** Some of what each row sees, in the order of positions, padded with -1. */
    private int[] selection(QueryRows rows, int k) {
        int[] slots = new int[rows.rows() * k];
        Arrays.fill(slots, -1);
        for (int row = 0; row < rows.rows(); row++) {
            int at = row * k;
            for (int position = 0; position < rows.visible(row) && at < (row + 1) * k; position++) {
                int left = rows.visible(row) - position;
                if (random.nextInt(left) < (row + 1) * k - at) {
                    slots[at++] = rows.slot(row, position);
                }
            }
        }
        return slots;
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void oddSizesInRaggedBatchesWithPrefixes(CacheDtype dtype) {
        for (int[] size : SIZES) {
            int[] lengths = size[0] * size[1] > 1000 ? Arrays.copyOf(LENGTHS, 6) : LENGTHS;
            try (Scene scene = new Scene(new CacheShape(size[1], size[2], 0), dtype, lengths)) {
                QueryRows rows = scene.last(2);
                MlaQueries queries = queries(rows.rows(), size[0], size[1], size[2]);
                String what = Arrays.toString(size);
                compare(queries, dense(reference, queries, scene, rows), dense(vector, queries, scene, rows), what);
                for (int k : new int[] {1, 13, 64, 129}) {
                    int[] slots = selection(rows, k);
                    compare(queries, sparse(reference, queries, scene, slots, rows.rows()),
                            sparse(vector, queries, scene, slots, rows.rows()), what + ", k " + k);
                }
            }
        }
    }

    /** The real widths with 64 heads, one row. */
    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void manyHeads(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(512, 64, 0), dtype, 131)) {
            QueryRows rows = scene.last(1);
            MlaQueries queries = queries(1, 64, 512, 64);
            compare(queries, dense(reference, queries, scene, rows), dense(vector, queries, scene, rows), "64 heads");
        }
    }

    @Test
    void oneSlotGivesExactlyItsLatent() {
        for (int[] size : SIZES) {
            try (Scene scene = new Scene(new CacheShape(size[1], size[2], 0), CacheDtype.F32, 150)) {
                MlaQueries queries = queries(1, size[0], size[1], size[2]);
                float[] row = new float[size[1] + size[2]];
                for (int position : new int[] {0, 77, 149}) {
                    int slot = scene.tables.get(0).slot(position);
                    scene.cache.latents(0).read(slot, row, 0);
                    int[] slots = new int[70];
                    Arrays.fill(slots, -1);
                    slots[random.nextInt(70)] = slot;
                    float[] out = sparse(vector, queries, scene, slots, 1);
                    for (int head = 0; head < size[0]; head++) {
                        assertArrayEquals(
                                Arrays.copyOf(row, size[1]),
                                Arrays.copyOfRange(out, head * size[1], (head + 1) * size[1]));
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void invalidSlotsAreIgnored(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(27, 6, 0), dtype, 300)) {
            int[] invalid = {-1, scene.cache.latents(0).slots(), Integer.MIN_VALUE, Integer.MAX_VALUE, -64, 1 << 30};
            int k = 200;
            int[] slots = new int[4 * k];
            int[] valid = new int[4 * k];
            Arrays.fill(valid, -1);
            for (int i = 0; i < slots.length; i++) {
                int row = i / k;
                boolean use = row == 0 ? i % 3 == 0 : row == 1 ? i == 2 * k - 1 : row == 3 && i % k >= 130;
                slots[i] = use ? scene.tables.get(0).slot(i % k) : invalid[i % invalid.length];
                valid[i] = use ? slots[i] : -1;
            }
            MlaQueries queries = queries(4, 5, 27, 6);
            float[] found = sparse(vector, queries, scene, slots, 4);
            compare(queries, sparse(reference, queries, scene, slots, 4), found, "mixed");
            assertSameBits(sparse(vector, queries, scene, valid, 4), 0, found, 0, found.length, "only -1");
            for (int i = 2 * 5 * 27; i < 3 * 5 * 27; i++) {
                assertEquals(0f, found[i], "row without a valid slot");
            }
            assertEquals(0, sparse(vector, queries(1, 5, 27, 6), scene, new int[0], 1)[0], "k 0");
        }
    }

    /** The negative control: were the tolerance too wide to see a wrong selection, this would fail. */
    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void anotherSelectionIsFarOff(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(27, 6, 0), dtype, 2049)) {
            QueryRows rows = scene.last(1);
            MlaQueries queries = queries(1, 4, 27, 6);
            float[] expected = sparse(reference, queries, scene, selection(rows, 129), 1);
            float[] found = sparse(vector, queries, scene, selection(rows, 129), 1);
            assertTrue(Close.difference(expected, found) > 100 * TOLERANCE);
        }
    }

    /** Any order of the slots gives the same, but for rounding. */
    @Test
    void theOrderOfSlotsDoesNotMatter() {
        try (Scene scene = new Scene(new CacheShape(27, 6, 0), CacheDtype.F32, 500)) {
            QueryRows rows = scene.last(1);
            MlaQueries queries = queries(1, 5, 27, 6);
            int[] slots = selection(rows, 333);
            float[] expected = sparse(reference, queries, scene, slots, 1);
            for (int i = slots.length - 1; i > 0; i--) {
                int j = random.nextInt(i + 1);
                int slot = slots[i];
                slots[i] = slots[j];
                slots[j] = slot;
            }
            compare(queries, expected, sparse(vector, queries, scene, slots, 1), "shuffled");
        }
    }

    /**
     * Scores that are whole numbers, so that neither implementation rounds them: differences far beyond what exp can
     * show, the maximum in the first block, in the last, rising with every token, and all far below zero.
     */
    @Test
    void saturatedSoftmax() {
        int n = 200;
        try (Scene scene = new Scene(new CacheShape(27, 6, 0), CacheDtype.F32, n)) {
            for (int pattern = 0; pattern < 7; pattern++) {
                float[] row = normal(random, 33);
                for (int position = 0; position < n; position++) {
                    row = normal(random, 33);
                    row[27] = switch (pattern) {
                        case 0 -> position == 3 ? 0 : -5000;
                        case 1 -> position == n - 1 ? 5000 : position % 7;
                        case 2 -> position * 50;
                        case 3 -> -position * 50;
                        case 4 -> -8_000_000 + position % 5;
                        case 5 -> position % 2 == 0 ? 8_000_000 : -8_000_000;
                        default -> -0x1p60f * (1 + position % 3); // the largest three times 2^60
                    };
                    scene.cache.latents(0).write(scene.tables.get(0).slot(position), row, 0);
                }
                float[] q = new float[5 * 33];
                for (int head = 0; head < 5; head++) {
                    q[head * 33 + 27] = 1;
                }
                MlaQueries queries = new MlaQueries(q, 5, 27, 6, 1f);
                QueryRows rows = scene.last(1);
                compare(queries, dense(reference, queries, scene, rows), dense(vector, queries, scene, rows),
                        "pattern " + pattern);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void denseIsSparseWithEverythingToTheBit(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(27, 6, 0), dtype, LENGTHS)) {
            QueryRows rows = scene.last(2);
            MlaQueries queries = queries(rows.rows(), 5, 27, 6);
            float[] expected = dense(vector, queries, scene, rows);
            for (int k : new int[] {rows.longest(), rows.longest() + 77}) {
                float[] found = sparse(vector, queries, scene, selection(rows, k), rows.rows());
                assertSameBits(expected, 0, found, 0, expected.length, "k " + k);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void threadsAndBatchDoNotChangeABit(CacheDtype dtype) {
        for (int heads : new int[] {3, 5, 21, 101}) { // with and without whole tiles, at any vector length
            int values = heads * 27;
            try (Scene scene = new Scene(new CacheShape(27, 6, 0), dtype, 207, 1, 333)) {
                QueryRows rows = scene.last(9);
                MlaQueries queries = queries(rows.rows(), heads, 27, 6);
                int k = 100;
                int[] slots = selection(rows, k);
                float[] dense = dense(vector, queries, scene, rows);
                float[] sparse = sparse(vector, queries, scene, slots, rows.rows());
                for (int threads = 1; threads <= 3; threads++) {
                    try (WorkerPool other = new WorkerPool(threads)) {
                        LatentAttention attention = new VectorProvider().latentAttention(Resources.of(other));
                        String what = threads + " threads, " + heads + " heads";
                        assertSameBits(dense, 0, dense(attention, queries, scene, rows), 0, dense.length, what);
                        assertSameBits(
                                sparse, 0, sparse(attention, queries, scene, slots, rows.rows()), 0, sparse.length, what);
                        for (int row = 0; row < rows.rows(); row++) {
                            int query = heads * 33;
                            MlaQueries own = new MlaQueries(
                                    Arrays.copyOfRange(queries.queries(), row * query, (row + 1) * query),
                                    heads, 27, 6, queries.scale());
                            float[] alone = dense(attention, own, scene, Scene.alone(rows, row));
                            assertSameBits(dense, row * values, alone, 0, values, what + ", row alone");
                            alone = sparse(attention, own, scene, Arrays.copyOfRange(slots, row * k, (row + 1) * k), 1);
                            assertSameBits(sparse, row * values, alone, 0, values, what + ", row alone");
                        }
                    }
                }
            }
        }
    }
}
