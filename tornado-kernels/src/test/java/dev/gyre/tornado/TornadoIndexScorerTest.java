package dev.gyre.tornado;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.Arrays;
import java.util.Random;

/** Index scores on the device against their scalar twin. */
class TornadoIndexScorerTest {
    private static final double TOLERANCE = 1e-5;

    private final Random random = new Random(3);
    private final WorkerPool pool = new WorkerPool(2);
    private final IndexScorer reference = Scene.provider("reference").indexScorer(Scene.resources(pool));
    private final IndexScorer tornado = Scene.provider("tornado").indexScorer(Scene.resources(pool));

    @AfterEach
    void end() {
        pool.close();
    }

    private IndexQueries queries(int rows, int heads, int dim) {
        return new IndexQueries(
                Scene.normal(random, rows * heads * dim), Scene.normal(random, rows * heads), heads, dim);
    }

    private void compare(Scene scene, QueryRows rows, IndexQueries queries) {
        // on tensor cores queries are rounded to f16
        boolean rounded = scene.cache.indexKeys(0).dtype() == CacheDtype.FP8_E4M3 && queries.heads() == 64
                && Scene.hasTensorCores();
        double tolerance = rounded ? 5e-3 : TOLERANCE;
        int stride = rows.longest() + 3;
        float[] expected = new float[rows.rows() * stride];
        float[] found = new float[rows.rows() * stride];
        Arrays.fill(found, Float.NaN);
        reference.score(queries, scene.cache.indexKeys(0), rows, 0, rows.rows(), expected, stride);
        tornado.score(queries, scene.cache.indexKeys(0), rows, 0, rows.rows(), found, stride);
        for (int row = 0; row < rows.rows(); row++) {
            int end = row * stride + rows.visible(row);
            Scene.assertClose(expected, found, row * stride, end, tolerance, "row " + row);
            for (int i = end; i < (row + 1) * stride; i++) {
                assertEquals(Float.NaN, found[i], "beyond what row " + row + " sees");
            }
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void batchesWithPrefixes(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(2, 2, 128), dtype, 207, 1, 64, 65, 13)) {
            QueryRows rows = scene.last(20);
            compare(scene, rows, queries(rows.rows(), 64, 128));
            compare(scene, scene.last(1), queries(5, 64, 128)); // decode
        }
    }

    /** So long that a block of tensor cores goes through many pages; a row beside it that sees one token. */
    @Test
    void deepSeeksShapeOverManyPages() {
        try (Scene scene = new Scene(new CacheShape(2, 2, 128), CacheDtype.FP8_E4M3, 64 * 830 + 1, 1)) {
            compare(scene, scene.last(1), queries(2, 64, 128));
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void oddShapesAndLongRows(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(2, 2, 36), dtype, 2049)) {
            compare(scene, scene.last(1), queries(1, 3, 36));
            compare(scene, scene.last(19), queries(19, 17, 36));
        }
    }

    @Test
    void writesAfterTheFirstRunAreSeenAndGrowthToo() {
        try (Scene scene = new Scene(new CacheShape(2, 2, 16), CacheDtype.F32, 200, 2100)) {
            QueryRows small = new QueryRows();
            small.add(scene.tables.get(0), 199, 200);
            compare(scene, small, queries(1, 4, 16));
            scene.cache.indexKeys(0).write(scene.tables.get(0).slot(77), Scene.normal(random, 16), 0);
            compare(scene, small, queries(1, 4, 16));
            compare(scene, scene.last(1), queries(2, 4, 16)); // longer than the plan was made for
        }
    }

    @Test
    void onlyTheAskedRowsAreScored() {
        try (Scene scene = new Scene(new CacheShape(2, 2, 16), CacheDtype.BF16, 150)) {
            QueryRows rows = scene.last(40);
            IndexQueries queries = queries(40, 4, 16);
            float[] all = new float[40 * 150];
            float[] some = new float[7 * 150];
            tornado.score(queries, scene.cache.indexKeys(0), rows, 0, 40, all, 150);
            tornado.score(queries, scene.cache.indexKeys(0), rows, 30, 37, some, 150);
            for (int row = 30; row < 37; row++) {
                for (int i = 0; i < rows.visible(row); i++) {
                    assertEquals(all[row * 150 + i], some[(row - 30) * 150 + i]);
                }
            }
        }
    }

    @Test
    void otherQueriesGiveOtherScores() {
        try (Scene scene = new Scene(new CacheShape(2, 2, 16), CacheDtype.F32, 150)) {
            QueryRows rows = scene.last(1);
            float[] expected = new float[150];
            float[] found = new float[150];
            reference.score(queries(1, 4, 16), scene.cache.indexKeys(0), rows, 0, 1, expected, 150);
            tornado.score(queries(1, 4, 16), scene.cache.indexKeys(0), rows, 0, 1, found, 150);
            assertTrue(Scene.difference(expected, found, 0, 150) > 0.1, "the comparison must be able to fail");
        }
    }
}
