package dev.gyre.attention.backend;

import static dev.gyre.attention.Randoms.normal;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.attention.policy.IndexSharing;
import dev.gyre.attention.policy.LayerShape;
import dev.gyre.attention.policy.PolicyContext;
import org.junit.jupiter.api.Test;

import java.util.Map;
import java.util.Random;

class BackendsTest {
    @Test
    void anUnknownNameIsAnErrorThatListsTheKnown() {
        Providers providers = Providers.load();
        EngineException unknown =
                assertThrows(EngineException.class, () -> providers.choose(Phase.TOPK, "flashmla"));
        assertTrue(unknown.isUsage());
        assertTrue(unknown.getMessage().contains("--dsa-topk-backend") && unknown.getMessage().contains("reference"));
        assertEquals("reference", providers.choose(Phase.TOPK, "reference").name());
        try (WorkerPool pool = new WorkerPool(1)) {
            Implementations implementations = Implementations.choose(providers, Map.of(), Resources.of(pool));
            assertThrows(EngineException.class, () -> create("fa3", implementations, 3, 1));
            assertThrows(EngineException.class, () -> create("nsa", implementations, 0, 1));
            assertTrue(create("nsa", implementations, 3, 1).usesIndexer(0));
            assertFalse(create("dense", implementations, 3, 1).usesIndexer(0));
        }
    }

    private static AttentionBackend create(
            String name, Implementations implementations, int indexHeads, long scoreBytes) {
        LayerShape shape = new LayerShape(2, 8, 4, indexHeads, 6, 20, 1, 48, 24);
        PolicyContext context = new PolicyContext(
                implementations.indexer(),
                implementations.topk(),
                implementations.host(),
                shape,
                IndexSharing.none(1),
                scoreBytes);
        return AttentionBackends.create(name, null, context, false, implementations);
    }

    /** However few rows the score buffer holds, the result is the same to the bit; a buffer below a row is an error. */
    @Test
    void theScoreBufferDoesNotChangeTheResult() {
        CacheShape shape = new CacheShape(8, 4, 6);
        try (KvCache cache = new KvCache(1, shape, CacheDtype.F32, 512);
                WorkerPool pool = new WorkerPool(2)) {
            PageTable first = new PageTable();
            PageTable second = new PageTable();
            cache.pool().reserve(first, 150);
            cache.pool().reserve(second, 90);
            cache.randomize(first, 0, 150, 1);
            cache.randomize(second, 0, 90, 2);
            QueryRows rows = new QueryRows();
            rows.add(first, 3, 150);
            rows.add(second, 60, 90);
            Random random = new Random(9);
            int n = rows.rows();
            MlaQueries queries = new MlaQueries(normal(random, n * 2 * 12), 2, 8, 4, 0.3f);
            IndexQueries index = new IndexQueries(normal(random, n * 3 * 6), normal(random, n * 3), 3, 6);
            Implementations implementations = Implementations.choose(Providers.load(), Map.of(), Resources.of(pool));
            float[] expected = new float[n * 2 * 8];
            run(implementations, 1 << 20, queries, index, cache, rows, expected);
            for (int budgetRows : new int[] {1, 2, 7}) {
                float[] out = new float[n * 2 * 8];
                run(implementations, budgetRows * 150 * 4L, queries, index, cache, rows, out);
                assertArrayEquals(expected, out);
            }
            assertThrows(
                    EngineException.class,
                    () -> run(implementations, 149 * 4, queries, index, cache, rows, new float[n * 2 * 8]));
        }
    }

    private static void run(
            Implementations implementations,
            long bytes,
            MlaQueries queries,
            IndexQueries index,
            KvCache cache,
            QueryRows rows,
            float[] out) {
        LayerStep step = new LayerStep(0, rows, queries, cache.latents(0), index, cache.indexKeys(0));
        create("dsa", implementations, 3, bytes).attend(step, out, SelectionListener.NONE);
    }
}
