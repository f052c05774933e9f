package dev.gyre.attention.reference;

import static dev.gyre.attention.Randoms.normal;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;

class ReferenceOperationsTest {
    private final WorkerPool pool = new WorkerPool(2);

    @AfterEach
    void endThreads() {
        pool.close();
    }

    @Test
    void topKPrefersTheLowerPositionAmongEquals() {
        float[] scores = {0f, -0f, 5f, 0f, Float.NaN, 5f, -1f, Float.NEGATIVE_INFINITY};
        assertArrayEquals(new int[] {2}, select(scores, 1));
        assertArrayEquals(new int[] {0, 2, 5}, select(scores, 3));
        assertArrayEquals(new int[] {0, 1, 2, 5}, select(scores, 4)); // -0 equals 0, so position 1 before 3
        assertArrayEquals(new int[] {0, 1, 2, 3, 5, 6}, select(scores, 6));
        assertArrayEquals(new int[] {0, 1, 2, 3, 5, 6, 7}, select(scores, 7)); // NaN is below -infinity
        assertArrayEquals(new int[] {0, 1, 2, 3, 4, 5, 6, 7}, select(scores, 8));
    }

    @Test
    void topKEqualsASortOnRandomRowsWithTies() {
        Random random = new Random(11);
        for (int trial = 0; trial < 200; trial++) {
            int n = 1 + random.nextInt(300);
            float[] scores = new float[n];
            for (int i = 0; i < n; i++) {
                scores[i] = random.nextInt(4) == 0 ? 0f : random.nextInt(7) - 3 + (random.nextBoolean() ? 0.25f : 0f);
            }
            int k = 1 + random.nextInt(n);
            int[] expected = IntStream.range(0, n)
                    .boxed()
                    .sorted(Comparator.comparing((Integer i) -> -scores[i]).thenComparing(i -> i))
                    .limit(k)
                    .mapToInt(i -> i)
                    .sorted()
                    .toArray();
            assertArrayEquals(expected, select(scores, k));
        }
    }

    private int[] select(float[] scores, int k) {
        PagePoolOf pages = new PagePoolOf(scores.length);
        QueryRows rows = new QueryRows();
        rows.add(pages.table, scores.length - 1, scores.length);
        Selection selection = new Selection();
        selection.resize(1, k);
        new ReferenceTopK(pool).select(scores, scores.length, rows, 0, 1, selection);
        for (int i = 0; i < Math.min(k, scores.length); i++) {
            assertEquals(pages.table.slot(selection.positions()[i]), selection.slots()[i]);
        }
        return selection.chosen(rows, 0);
    }

    /** Two sequences with prefixes: a row's scores are its own sequence's, causal, and nothing else is touched. */
    @Test
    void scoresOfRaggedRowsWithPrefixes() {
        CacheShape shape = new CacheShape(4, 2, 6);
        Random random = new Random(2);
        try (KvCache cache = new KvCache(1, shape, CacheDtype.F32, 6 * 64)) {
            PageTable first = new PageTable();
            PageTable second = new PageTable();
            cache.pool().reserve(first, 70);
            cache.pool().reserve(second, 100);
            cache.randomize(first, 0, 70, 1);
            cache.randomize(second, 0, 100, 2);
            QueryRows rows = new QueryRows();
            rows.add(first, 65, 70);
            rows.add(second, 97, 100);
            float[] q = normal(random, 8 * 3 * 6);
            float[] w = normal(random, 8 * 3);
            float[] scores = new float[6 * 100];
            Arrays.fill(scores, Float.MAX_VALUE);
            new ReferenceIndexScorer(pool)
                    .score(new IndexQueries(q, w, 3, 6), cache.indexKeys(0), rows, 2, 8, scores, 100);
            float[] key = new float[6];
            for (int row = 2; row < 8; row++) {
                PageTable table = row < 5 ? first : second;
                int visible = row < 5 ? 66 + row : 98 + row - 5;
                assertEquals(visible, rows.visible(row));
                for (int s = 0; s < 100; s++) {
                    float found = scores[(row - 2) * 100 + s];
                    if (s >= visible) {
                        assertEquals(Float.MAX_VALUE, found);
                        continue;
                    }
                    cache.indexKeys(0).read(table.slot(s), key, 0);
                    double expected = 0;
                    for (int h = 0; h < 3; h++) {
                        double dot = 0;
                        for (int d = 0; d < 6; d++) {
                            dot += q[(row * 3 + h) * 6 + d] * key[d];
                        }
                        expected += dot > 0 ? w[row * 3 + h] * dot : 0;
                    }
                    assertEquals(expected, found, 1e-5);
                }
            }
        }
    }

    @Test
    void sparseAttentionIgnoresInvalidSlotsAndPoison() {
        CacheShape shape = new CacheShape(8, 4, 0);
        Random random = new Random(4);
        try (KvCache cache = new KvCache(1, shape, CacheDtype.F32, 128)) {
            float[] poison = new float[12];
            Arrays.fill(poison, Float.NaN);
            for (int slot = 0; slot < 128; slot++) {
                cache.latents(0).write(slot, slot % 2 == 0 ? normal(random, 12) : poison, 0);
            }
            int[] slots = {
                4, 8, 90, -1, -1, // ordinary
                -1, 4, 1000, 8, Integer.MIN_VALUE, // invalid ones between
                -1, 128, -7, -1, -1, // none valid
                6, -1, -1, -1, -1, // one-hot
            };
            float[] q = normal(random, 4 * 2 * 12);
            float[] out = new float[4 * 2 * 8];
            Arrays.fill(out, Float.NaN);
            MlaQueries queries = new MlaQueries(q, 2, 8, 4, 0.3f);
            new ReferenceLatentAttention(pool).sparse(queries, cache.latents(0), slots, 4, 5, out);
            for (int head = 0; head < 2; head++) {
                assertRow(cache, queries, 0, head, new int[] {4, 8, 90}, out);
                assertRow(cache, queries, 1, head, new int[] {4, 8}, out);
                assertRow(cache, queries, 2, head, new int[0], out);
                assertRow(cache, queries, 3, head, new int[] {6}, out);
            }
        }
    }

    private static void assertRow(KvCache cache, MlaQueries queries, int row, int head, int[] slots, float[] out) {
        double[] expected = new double[8];
        double total = 0;
        float[] token = new float[12];
        for (int slot : slots) {
            cache.latents(0).read(slot, token, 0);
            double dot = 0;
            for (int d = 0; d < 12; d++) {
                dot += queries.queries()[(row * 2 + head) * 12 + d] * token[d];
            }
            double weight = Math.exp(dot * queries.scale());
            total += weight;
            for (int d = 0; d < 8; d++) {
                expected[d] += weight * token[d];
            }
        }
        for (int d = 0; d < 8; d++) {
            assertEquals(slots.length == 0 ? 0 : expected[d] / total, out[(row * 2 + head) * 8 + d], 1e-5);
        }
        assertTrue(slots.length > 0 || out[(row * 2 + head) * 8] == 0f);
    }

    /** A page table without a cache. */
    private static final class PagePoolOf {
        final PageTable table = new PageTable();

        PagePoolOf(int tokens) {
            new dev.gyre.attention.cache.PagePool(tokens / 64 + 1).reserve(table, tokens);
        }
    }
}
