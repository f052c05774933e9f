package dev.gyre.tornado;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.numeric.Bf16;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.Arrays;
import java.util.Random;

/** Latent attention on the device against its scalar twin. */
class TornadoLatentAttentionTest {
    private static final double TOLERANCE = 2e-5;

    private final Random random = new Random(5);
    private final WorkerPool pool = new WorkerPool(2);
    private final LatentAttention reference = Scene.provider("reference").latentAttention(Scene.resources(pool));
    private final LatentAttention tornado = Scene.provider("tornado").latentAttention(Scene.resources(pool));

    @AfterEach
    void end() {
        pool.close();
    }

    private MlaQueries queries(int rows, int heads, int latent, int rope) {
        return new MlaQueries(
                Scene.normal(random, rows * heads * (latent + rope)), heads, latent, rope, 0.07f);
    }

    /** Slots of tokens in no order, and between them such as are none: negative, and beyond the cache. */
    private int[] slots(Scene scene, int rows, int k) {
        int[] slots = new int[rows * k];
        for (int i = 0; i < slots.length; i++) {
            int sequence = random.nextInt(scene.lengths.length);
            slots[i] = switch (random.nextInt(5)) {
                case 0 -> -1;
                case 1 -> random.nextBoolean() ? Integer.MIN_VALUE : scene.cache.latents(0).slots() + random.nextInt(9);
                default -> scene.tables.get(sequence).slot(random.nextInt(scene.lengths[sequence]));
            };
        }
        return slots;
    }

    private void compare(Scene scene, MlaQueries queries, int[] slots, int rows, int k) {
        compare(scene, queries, slots, rows, k, TOLERANCE);
    }

    private void compare(Scene scene, MlaQueries queries, int[] slots, int rows, int k, double tolerance) {
        int size = queries.heads() * queries.latent();
        float[] expected = new float[rows * size];
        float[] found = new float[rows * size];
        Arrays.fill(found, Float.NaN);
        reference.sparse(queries, scene.cache.latents(0), slots, rows, k, expected);
        tornado.sparse(queries, scene.cache.latents(0), slots, rows, k, found);
        for (int row = 0; row < rows; row++) {
            Scene.assertClose(expected, found, row * size, (row + 1) * size, tolerance, "row " + row);
        }
    }

    /** What tensor cores serve where the device has them; there queries and weights are rounded to bf16. */
    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void deepSeeksShape(CacheDtype dtype) {
        boolean rounded = dtype == CacheDtype.BF16 && Scene.hasTensorCores();
        try (Scene scene = new Scene(new CacheShape(512, 64, 0), dtype, 500, 13)) {
            for (int rows : new int[] {1, 17}) {
                for (int k : new int[] {1, 130, 257}) {
                    int[] slots = slots(scene, rows, k);
                    Arrays.fill(slots, 0, k, -1); // a row without a valid slot gives 0
                    slots[0] = rows == 1 ? scene.tables.get(0).slot(7) : -1;
                    compare(scene, queries(rows, 128, 512, 64), slots, rows, k, rounded ? 1e-2 : TOLERANCE);
                }
            }
        }
    }

    /** Tiles whose largest scores are some hundred powers of two apart, over more slots than fit local memory at once. */
    @Test
    void deepSeeksShapeWithScoresFarApart() {
        try (Scene scene = new Scene(new CacheShape(512, 64, 0), CacheDtype.BF16, 500, 13)) {
            for (int k : new int[] {2048, 4200}) {
                for (float factor : new float[] {0.2f, 5f, 60f}) {
                    float[] q = Scene.normal(random, 128 * 576);
                    for (int i = 0; i < q.length; i++) {
                        q[i] = Bf16.decode(Bf16.encode(q[i] * factor)); // only the weights are rounded then
                    }
                    compare(scene, new MlaQueries(q, 128, 512, 64, 0.07f), slots(scene, 1, k), 1, k, 1e-2);
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void realWidthsWithInvalidSlots(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(512, 64, 0), dtype, 207, 13)) {
            for (int k : new int[] {1, 13, 207}) {
                compare(scene, queries(3, 5, 512, 64), slots(scene, 3, k), 3, k);
            }
            int[] none = new int[2 * 9];
            Arrays.fill(none, -1);
            compare(scene, queries(2, 5, 512, 64), none, 2, 9);
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void oddWidthsAndManyRows(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(36, 6, 0), dtype, 300)) {
            compare(scene, queries(19, 3, 36, 6), slots(scene, 19, 64), 19, 64);
        }
    }

    @Test
    void longSelections() {
        try (Scene scene = new Scene(new CacheShape(32, 8, 0), CacheDtype.F32, 2500)) {
            compare(scene, queries(1, 2, 32, 8), slots(scene, 1, 2046), 1, 2046);
            compare(scene, queries(1, 2, 32, 8), slots(scene, 1, 2049), 1, 2049);
        }
    }

    @Test
    void oneSelectedTokenIsReturned() {
        try (Scene scene = new Scene(new CacheShape(64, 8, 0), CacheDtype.F32, 100)) {
            int slot = scene.tables.get(0).slot(42);
            float[] row = new float[72];
            scene.cache.latents(0).read(slot, row, 0);
            float[] out = new float[2 * 64];
            tornado.sparse(queries(1, 2, 64, 8), scene.cache.latents(0), new int[] {-1, slot, -1}, 1, 3, out);
            for (int i = 0; i < out.length; i++) {
                assertEquals(row[i % 64], out[i], 1e-6f * Math.abs(row[i % 64]));
            }
        }
    }

    @Test
    void denseEqualsEverythingSelected() {
        try (Scene scene = new Scene(new CacheShape(64, 8, 0), CacheDtype.BF16, 130, 65)) {
            QueryRows rows = scene.last(20);
            MlaQueries queries = queries(rows.rows(), 4, 64, 8);
            float[] expected = new float[rows.rows() * 4 * 64];
            float[] found = new float[expected.length];
            Arrays.fill(found, Float.NaN);
            reference.dense(queries, scene.cache.latents(0), rows, expected);
            tornado.dense(queries, scene.cache.latents(0), rows, found);
            Scene.assertClose(expected, found, 0, expected.length, TOLERANCE, "dense");
        }
    }

    @Test
    void aScrambledSelectionIsNoticed() {
        try (Scene scene = new Scene(new CacheShape(64, 8, 0), CacheDtype.F32, 400)) {
            MlaQueries queries = queries(1, 4, 64, 8);
            int[] slots = new int[50];
            int[] other = new int[50];
            for (int i = 0; i < 50; i++) {
                slots[i] = scene.tables.get(0).slot(i);
                other[i] = scene.tables.get(0).slot(i + 1);
            }
            float[] expected = new float[4 * 64];
            float[] found = new float[4 * 64];
            reference.sparse(queries, scene.cache.latents(0), slots, 1, 50, expected);
            tornado.sparse(queries, scene.cache.latents(0), other, 1, 50, found);
            assertTrue(Scene.difference(expected, found, 0, found.length) > 10 * TOLERANCE);
        }
    }
}
