package dev.gyre.attention.vector;

import static dev.gyre.attention.Randoms.normal;
import static dev.gyre.attention.vector.Close.assertSameBits;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Scene;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.Resources;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.reference.ReferenceIndexScorer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.Arrays;
import java.util.Random;

class VectorIndexScorerTest {
    private static final int[] LENGTHS = {1, 13, 63, 64, 65, 207, 2046, 2049};
    private static final float SENTINEL = -12345.5f;
    /** Of the head weights times the lengths of the two vectors that are multiplied. */
    private static final double TOLERANCE = 1e-6;

    private final WorkerPool pool = new WorkerPool(2);
    private final IndexScorer vector = new VectorProvider().indexScorer(Resources.of(pool));
    private final IndexScorer reference = new ReferenceIndexScorer(pool);
    private final Random random = new Random(21);

    @AfterEach
    void endThreads() {
        pool.close();
    }

    private IndexQueries queries(int rows, int heads, int dim) {
        return new IndexQueries(normal(random, rows * heads * dim), normal(random, rows * heads), heads, dim);
    }

    /** Scores of rows [from, to) in a buffer of sentinels with more room than is needed. */
    private static float[] score(
            IndexScorer scorer, IndexQueries queries, Scene scene, QueryRows rows, int from, int to, int stride) {
        float[] scores = new float[(to - from) * stride];
        Arrays.fill(scores, SENTINEL);
        scorer.score(queries, scene.cache.indexKeys(0), rows, from, to, scores, stride);
        return scores;
    }

    private void compare(IndexQueries queries, Scene scene, QueryRows rows, int from, int to, String what) {
        int stride = rows.longest() + 5;
        float[] expected = score(reference, queries, scene, rows, from, to, stride);
        float[] found = score(vector, queries, scene, rows, from, to, stride);
        for (int row = from; row < to; row++) {
            int at = (row - from) * stride;
            double weight = 0;
            for (int head = 0; head < queries.heads(); head++) {
                int q = (row * queries.heads() + head) * queries.dim();
                double length = length(queries.queries(), q, queries.dim());
                weight += Math.abs(queries.weights()[row * queries.heads() + head]) * length;
            }
            float[] key = new float[queries.dim()];
            for (int s = 0; s < stride; s++) {
                String where = what + ", row " + row + ", position " + s;
                if (s >= rows.visible(row)) {
                    assertEquals(SENTINEL, found[at + s], where);
                    continue;
                }
                // a score may be small because large terms cancel, so rounding is measured by the terms
                scene.cache.indexKeys(0).read(rows.slot(row, s), key, 0);
                double tolerance = TOLERANCE * weight * length(key, 0, key.length);
                if (!(Math.abs((double) expected[at + s] - found[at + s]) <= tolerance)) {
                    assertEquals(expected[at + s], found[at + s], tolerance, where);
                }
            }
        }
    }

    private static double length(float[] values, int from, int count) {
        double squares = 0;
        for (int i = from; i < from + count; i++) {
            squares += (double) values[i] * values[i];
        }
        return Math.sqrt(squares);
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void oddSizesInRaggedBatchesWithPrefixes(CacheDtype dtype) {
        for (int dim : new int[] {9, 16, 128, 130}) {
            try (Scene scene = new Scene(new CacheShape(1, 1, dim), dtype, LENGTHS)) {
                for (int heads : new int[] {1, 3, 4, 5, 64}) {
                    QueryRows rows = scene.last(heads == 64 ? 1 : 3);
                    String what = heads + " heads of " + dim;
                    compare(queries(rows.rows(), heads, dim), scene, rows, 0, rows.rows(), what);
                }
            }
        }
    }

    /** More rows of a sequence than a task takes, that straddle pages; and groups that begin and end anywhere. */
    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void manyRowsOfASequence(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(1, 1, 16), dtype, 150, 40, 1100)) {
            QueryRows rows = scene.last(45);
            IndexQueries queries = queries(rows.rows(), 5, 16);
            for (int[] range : new int[][] {{0, rows.rows()}, {1, 2}, {17, 60}, {44, 46}, {rows.rows() - 1, rows.rows()}}) {
                compare(queries, scene, rows, range[0], range[1], Arrays.toString(range));
            }
        }
    }

    /** Where no head has a positive dot product the score is exactly zero, whatever the weights' signs. */
    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void negativeDotProductsGiveExactZeros(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(1, 1, 16), dtype, 131)) {
            QueryRows rows = scene.last(2);
            float[] key = new float[16];
            for (int position = 0; position < 131; position++) {
                for (int i = 0; i < 16; i++) {
                    key[i] = i == 3 ? -0f : -Math.abs((float) random.nextGaussian()) - 0.01f;
                }
                // every seventh key is positive, so that there is something else than zeros
                key[0] = position % 7 == 0 ? 100f : key[0];
                scene.cache.indexKeys(0).write(scene.tables.get(0).slot(position), key, 0);
            }
            float[] q = normal(random, 2 * 5 * 16);
            for (int i = 0; i < q.length; i++) {
                q[i] = i % 5 == 0 ? -0f : Math.abs(q[i]) + 0.5f;
            }
            IndexQueries queries = new IndexQueries(q, new float[] {1, -1, 2, -2, -3, -1, -1, 0, -0f, 2}, 5, 16);
            compare(queries, scene, rows, 0, 2, "negative keys");
            float[] found = score(vector, queries, scene, rows, 0, 2, 131);
            for (int row = 0; row < 2; row++) {
                for (int position = 0; position < rows.visible(row); position++) {
                    if (position % 7 != 0) {
                        assertEquals(0f, found[row * 131 + position] + 0f, "position " + position);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void threadsDoNotChangeABit(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(1, 1, 130), dtype, 207, 64, 1300);
                WorkerPool one = new WorkerPool(1);
                WorkerPool three = new WorkerPool(3)) {
            QueryRows rows = scene.last(20);
            IndexQueries queries = queries(rows.rows(), 5, 130);
            float[] expected = score(vector, queries, scene, rows, 0, rows.rows(), 1300);
            for (WorkerPool other : new WorkerPool[] {one, three}) {
                IndexScorer scorer = new VectorProvider().indexScorer(Resources.of(other));
                float[] found = score(scorer, queries, scene, rows, 0, rows.rows(), 1300);
                assertSameBits(expected, 0, found, 0, expected.length, other.threads() + " threads");
            }
        }
    }

    /** A row gives the same bits alone, in a part of the batch, and in the batch; and so does a call that follows. */
    @Test
    void theBatchDoesNotChangeABit() {
        try (Scene scene = new Scene(new CacheShape(1, 1, 16), CacheDtype.BF16, 207, 64, 1300, 1)) {
            QueryRows rows = scene.last(20);
            IndexQueries queries = queries(rows.rows(), 5, 16);
            float[] expected = score(vector, queries, scene, rows, 0, rows.rows(), 1300);
            for (int row = 0; row < rows.rows(); row++) {
                int visible = rows.visible(row);
                IndexQueries own = new IndexQueries(
                        Arrays.copyOfRange(queries.queries(), row * 80, (row + 1) * 80),
                        Arrays.copyOfRange(queries.weights(), row * 5, (row + 1) * 5), 5, 16);
                float[] alone = score(vector, own, scene, Scene.alone(rows, row), 0, 1, visible);
                assertSameBits(expected, row * 1300, alone, 0, visible, "row " + row + " alone");
                float[] part = score(vector, queries, scene, rows, row, Math.min(row + 2, rows.rows()), 1300);
                assertSameBits(expected, row * 1300, part, 0, visible, "row " + row + " in a part");
            }
        }
    }
}
