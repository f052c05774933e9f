package dev.gyre.tornado;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Arrays;
import java.util.Random;

/** Selections on the device against a sort, exactly. */
class TornadoTopKTest {
    private final Random random = new Random(4);
    private final WorkerPool pool = new WorkerPool(1);
    private final TopK reference = Scene.provider("reference").topK(Scene.resources(pool));
    private final TopK tornado = Scene.provider("tornado").topK(Scene.resources(pool));

    @AfterEach
    void end() {
        pool.close();
    }

    private void compare(Scene scene, QueryRows rows, float[] scores, int stride, int k, String what) {
        Selection expected = new Selection();
        Selection found = new Selection();
        expected.resize(rows.rows(), k);
        found.resize(rows.rows(), k);
        Arrays.fill(found.positions(), 12345);
        Arrays.fill(found.slots(), 12345);
        reference.select(scores, stride, rows, 0, rows.rows(), expected);
        tornado.select(scores, stride, rows, 0, rows.rows(), found);
        for (int row = 0; row < rows.rows(); row++) {
            String where = what + ", row " + row + " of " + rows.visible(row);
            assertArrayEquals(
                    Arrays.copyOfRange(expected.positions(), row * k, (row + 1) * k),
                    Arrays.copyOfRange(found.positions(), row * k, (row + 1) * k), where);
            assertArrayEquals(
                    Arrays.copyOfRange(expected.slots(), row * k, (row + 1) * k),
                    Arrays.copyOfRange(found.slots(), row * k, (row + 1) * k), where + ", slots");
        }
    }

    /** Scores with many ties, negative numbers, both zeros, infinities, NaN and subnormal numbers. */
    private float[] awkward(int count) {
        float[] special = {0f, -0f, 1f, -1f, Float.MIN_VALUE, -Float.MIN_VALUE, Float.MAX_VALUE, -Float.MAX_VALUE,
            Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.NaN, 0x1p-126f};
        float[] scores = new float[count];
        for (int i = 0; i < count; i++) {
            scores[i] = random.nextInt(3) == 0
                    ? special[random.nextInt(special.length)]
                    : random.nextInt(2) == 0 ? Math.max(0f, (float) random.nextGaussian()) : random.nextInt(7) - 3;
        }
        return scores;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 13, 64, 207, 256, 2046, 2049})
    void oddSizes(int k) {
        try (Scene scene = new Scene(new CacheShape(2, 2, 0), CacheDtype.F32, 2400, 1, 300)) {
            QueryRows rows = scene.last(7);
            int stride = rows.longest() + 1;
            compare(scene, rows, Scene.normal(random, rows.rows() * stride), stride, k, "normal");
            compare(scene, rows, awkward(rows.rows() * stride), stride, k, "awkward");
            float[] equal = new float[rows.rows() * stride];
            Arrays.fill(equal, -2.5f);
            compare(scene, rows, equal, stride, k, "all equal");
        }
    }

    @Test
    void oneLongRow() {
        int length = 163_840;
        try (Scene scene = new Scene(new CacheShape(2, 2, 0), CacheDtype.BF16, length)) {
            QueryRows rows = scene.last(1);
            float[] relu = Scene.normal(random, length);
            for (int i = 0; i < length; i++) {
                relu[i] = Math.max(0f, relu[i] - 2.6f); // fewer positive scores than k: the boundary is among the zeros
            }
            compare(scene, rows, relu, length, 2048, "relu");
            compare(scene, rows, Scene.normal(random, length), length, 2048, "normal");
        }
    }

    @Test
    void manyRandomRowsWithPlantedTies() {
        try (Scene scene = new Scene(new CacheShape(2, 2, 0), CacheDtype.F32, 700)) {
            QueryRows rows = scene.last(500);
            for (int round = 0; round < 2; round++) {
                float[] scores = Scene.normal(random, 500 * 700);
                for (int i = 0; i < scores.length; i++) {
                    scores[i] = Math.round(scores[i] * 8) / 8f;
                }
                compare(scene, rows, scores, 700, 100, "ties");
            }
        }
    }
}
