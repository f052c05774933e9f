package dev.gyre.attention.hisparse;

import static dev.gyre.attention.Randoms.normal;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Scene;
import dev.gyre.attention.Selection;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.Implementations;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;
import dev.gyre.attention.backend.Resources;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.LatentCache;
import dev.gyre.attention.cache.PageTable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/** Attention over hot latents against the same attention over one cache of all: the same bits. */
class HiSparseTest {
    private static final CacheShape SHAPE = new CacheShape(130, 6, 0);
    private static final int HEADS = 3;
    private static final int K = 20;

    private final WorkerPool pool = new WorkerPool(2);
    private final Random random = new Random(77);

    @AfterEach
    void endThreads() {
        pool.close();
    }

    private Implementations implementations(String name) {
        Map<Phase, String> names = new EnumMap<>(Phase.class);
        names.put(Phase.PREFILL, name);
        names.put(Phase.DECODE, name);
        return Implementations.choose(Providers.load(), names, Resources.of(pool));
    }

    private HiSparse hiSparse(int hotTokens, Implementations attending) {
        return new HiSparse(HiSparseOptions.of(hotTokens), K, attending, pool);
    }

    private MlaQueries queries(int rows) {
        return new MlaQueries(normal(random, rows * HEADS * SHAPE.width()), HEADS, SHAPE.latent(), SHAPE.rope(), 0.1f);
    }

    /** For each row up to k of what it sees; recent tokens more often than others, so that some are hot. */
    private Selection selection(QueryRows rows) {
        Selection selection = new Selection();
        selection.resize(rows.rows(), K);
        for (int row = 0; row < rows.rows(); row++) {
            int seen = rows.visible(row);
            int[] chosen = random.ints(1 + random.nextInt(60), 0, seen)
                    .map(i -> random.nextBoolean() ? i : seen - 1 - i % Math.min(seen, 25))
                    .distinct()
                    .limit(random.nextInt(8) == 0 ? 0 : K)
                    .sorted()
                    .toArray();
            System.arraycopy(chosen, 0, selection.positions(), row * K, chosen.length);
            selection.finishRow(rows, row, chosen.length);
        }
        return selection;
    }

    private static float[] attend(
            LatentAttention attention, LatentCache cache, QueryRows rows, MlaQueries queries, Selection selection) {
        float[] out = new float[rows.rows() * HEADS * SHAPE.latent()];
        Arrays.fill(out, Float.NaN);
        if (selection == null) {
            attention.dense(queries, cache, rows, out);
        } else {
            attention.sparse(new LayerStep(0, rows, queries, cache, null, null), selection, out);
        }
        return out;
    }

    private void compare(LatentAttention plain, LatentAttention hot, LatentCache cache, QueryRows rows) {
        MlaQueries queries = queries(rows.rows());
        Selection selection = selection(rows);
        assertArrayEquals(
                attend(plain, cache, rows, queries, selection), attend(hot, cache, rows, queries, selection));
    }

    private static QueryRows rows(Scene scene, int[] lengths, int[] from, int[] to) {
        QueryRows rows = new QueryRows();
        for (int i = 0; i < lengths.length; i++) {
            if (to[i] > from[i]) {
                rows.add(scene.tables.get(i), from[i], to[i]);
            }
        }
        return rows;
    }

    /** Chunks and tokens of several sequences at once, each at its own pace, with as little room as there may be. */
    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void theBitsAreThoseOfOneCache(CacheDtype dtype) {
        int[] lengths = {300, 70, 131, 500, 9};
        for (String name : List.of("reference", "vector")) {
            for (int hotTokens : new int[] {K, K + 1, 64, 1000}) {
                Implementations attending = implementations(name);
                HiSparse hiSparse = hiSparse(hotTokens, attending);
                Implementations hot = hiSparse.implementations();
                try (Scene scene = new Scene(SHAPE, dtype, lengths)) {
                    LatentCache cache = scene.cache.latents(0);
                    int[] done = new int[lengths.length];
                    while (!Arrays.equals(done, lengths)) {
                        boolean decode = random.nextInt(4) > 0;
                        int[] to = done.clone();
                        for (int i = 0; i < to.length; i++) {
                            int more = decode ? 1 : 1 + random.nextInt(90);
                            to[i] = random.nextInt(3) == 0 ? to[i] : Math.min(lengths[i], to[i] + more);
                        }
                        QueryRows rows = rows(scene, lengths, done, to);
                        if (rows.rows() > 0) {
                            compare(attending.prefill(), rows.isDecode() ? hot.decode() : hot.prefill(), cache, rows);
                            done = to;
                        }
                    }
                }
                for (HiSparseStats stats : hiSparse.stats().values()) {
                    assertTrue(stats.hits() > 0 && stats.hits() < stats.selected(), stats.toString());
                    assertEquals((stats.selected() - stats.hits()) * SHAPE.latentBytes(dtype), stats.bytesFetched());
                    assertEquals(hotTokens < 500, stats.evictions() > 0, stats.toString());
                }
            }
        }
    }

    /** Prefill and decode have the hot rows in common, and neither takes the other's groups for its own. */
    @Test
    void phasesInTurn() {
        Implementations attending = implementations("vector");
        for (int decoded = 30; decoded < 36; decoded++) {
            Implementations hot = hiSparse(64, attending).implementations();
            try (Scene scene = new Scene(SHAPE, CacheDtype.F32, 300)) {
                LatentCache cache = scene.cache.latents(0);
                for (int i = 0; i < 30 + decoded; i++) {
                    QueryRows rows = new QueryRows();
                    rows.add(scene.tables.getFirst(), 100 + i, 101 + i);
                    compare(attending.prefill(), i < 30 ? hot.prefill() : hot.decode(), cache, rows);
                }
                QueryRows rows = new QueryRows();
                rows.add(scene.tables.getFirst(), 130 + decoded, 300);
                compare(attending.prefill(), hot.prefill(), cache, rows);
            }
        }
    }

    /** Where rows see little, attention is to everything, and says so by asking for dense attention. */
    @Test
    void everythingThatIsSeen() {
        for (String name : List.of("reference", "vector")) {
            Implementations attending = implementations(name);
            Implementations hot = hiSparse(150, attending).implementations();
            try (Scene scene = new Scene(SHAPE, CacheDtype.BF16, 150, 67, 1)) {
                QueryRows rows = scene.last(90);
                MlaQueries queries = queries(rows.rows());
                LatentCache cache = scene.cache.latents(0);
                assertArrayEquals(
                        attend(attending.prefill(), cache, rows, queries, null),
                        attend(hot.prefill(), cache, rows, queries, null));
            }
            try (Scene scene = new Scene(SHAPE, CacheDtype.BF16, 151)) {
                LatentCache cache = scene.cache.latents(0);
                EngineException tooMany = assertThrows(
                        EngineException.class,
                        () -> attend(hot.prefill(), cache, scene.last(1), queries(1), null));
                assertTrue(tooMany.getMessage().contains("--hisparse-hot-tokens"), tooMany.getMessage());
            }
        }
    }

    /** Counts against a list of Java's own that forgets what was used longest ago. */
    @Test
    void whatWasUsedLongestAgoGoes() {
        int hotTokens = 45;
        HiSparse hiSparse = hiSparse(hotTokens, implementations("reference"));
        Map<Integer, Boolean> hot = new LinkedHashMap<>(16, 0.75f, true);
        long selected = 0;
        long hits = 0;
        long evictions = 0;
        try (Scene scene = new Scene(SHAPE, CacheDtype.F32, 400)) {
            for (int length = 1; length <= 400; length++) {
                QueryRows rows = new QueryRows();
                rows.add(scene.tables.getFirst(), length - 1, length);
                Selection selection = selection(rows);
                int[] chosen = selection.chosen(rows, 0);
                attend(hiSparse.implementations().decode(), scene.cache.latents(0), rows, queries(1), selection);
                selected += chosen.length;
                int[] missing = Arrays.stream(chosen).filter(position -> hot.get(position) == null).toArray();
                int own = length - 1; // just computed, so it need not be fetched
                hits += chosen.length - Arrays.stream(missing).filter(position -> position != own).count();
                for (int position : missing) {
                    if (hot.size() == hotTokens) {
                        hot.remove(hot.keySet().iterator().next());
                        evictions++;
                    }
                    hot.put(position, true);
                }
            }
            long bytes = (selected - hits) * SHAPE.latentBytes(CacheDtype.F32);
            HiSparseStats expected = new HiSparseStats(selected, hits, evictions, bytes);
            assertEquals(expected, hiSparse.stats().get(Phase.DECODE));
            assertEquals(HiSparseStats.NONE, hiSparse.stats().get(Phase.PREFILL));
            assertEquals(HiSparseStats.NONE, expected.since(expected));
            assertEquals((double) hits / selected, expected.hitRate());
        }
    }

    /** What a step computes is hot without a fetch once, what it evicted is not, nor what came before it. */
    @Test
    void tokensOfTheStep() {
        HiSparse hiSparse = hiSparse(K, implementations("reference"));
        LatentAttention prefill = hiSparse.implementations().prefill();
        try (Scene scene = new Scene(SHAPE, CacheDtype.F32, 100)) {
            QueryRows rows = new QueryRows();
            rows.add(scene.tables.getFirst(), 50, 54);
            Selection selection = new Selection();
            selection.resize(4, K);
            choose(selection, rows, 0, 40, 50); // one of before, its own
            choose(selection, rows, 1, 50, 51); // one that is hot, its own
            choose(selection, rows, 2, IntStream.range(0, K).toArray()); // evicts all
            choose(selection, rows, 3, 40, 50, 52); // two that were evicted, one that was never asked for
            attend(prefill, scene.cache.latents(0), rows, queries(4), selection);
            int fetched = 1 + K + 2;
            assertEquals(
                    new HiSparseStats(7 + K, 7 + K - fetched, 3 + 3, fetched * SHAPE.latentBytes(CacheDtype.F32)),
                    hiSparse.stats().get(Phase.PREFILL));
            rows.clear();
            rows.add(scene.tables.getFirst(), 54, 56);
            selection.resize(2, K);
            choose(selection, rows, 0, 53, 54); // the first never asked for, but in the step before
            choose(selection, rows, 1, 54, 55);
            HiSparseStats before = hiSparse.stats().get(Phase.PREFILL);
            attend(prefill, scene.cache.latents(0), rows, queries(2), selection);
            HiSparseStats after = hiSparse.stats().get(Phase.PREFILL).since(before);
            assertEquals(4, after.selected());
            assertEquals(3, after.hits());
        }
    }

    private static void choose(Selection selection, QueryRows rows, int row, int... positions) {
        System.arraycopy(positions, 0, selection.positions(), row * K, positions.length);
        selection.finishRow(rows, row, positions.length);
    }

    /** A step that failed elsewhere is run again with other tokens: what was hot of the first is not theirs. */
    @Test
    void stepsThatAreRunAgain() {
        Implementations attending = implementations("vector");
        Implementations hot = hiSparse(64, attending).implementations();
        try (Scene scene = new Scene(SHAPE, CacheDtype.F32, 100)) {
            LatentCache cache = scene.cache.latents(0);
            PageTable table = scene.tables.getFirst();
            for (int attempt = 0; attempt < 5; attempt++) {
                compare(attending.prefill(), hot.prefill(), cache, scene.last(30));
                scene.cache.randomize(table, 70, 100, 900 + attempt);
            }
        }
    }

    /** Where attention itself fails, what was marked as hot may not be there. */
    @Test
    void attentionThatFails() {
        Implementations attending = implementations("vector");
        boolean[] fails = {false};
        LatentAttention fragile = new LatentAttention() {
            @Override
            public void sparse(MlaQueries queries, LatentCache cache, int[] slots, int rows, int k, float[] out) {
                if (fails[0]) {
                    throw new IllegalStateException("as asked for");
                }
                attending.prefill().sparse(queries, cache, slots, rows, k, out);
            }

            @Override
            public void dense(MlaQueries queries, LatentCache cache, QueryRows rows, float[] out) {
                throw new AssertionError("hot rows are in no order");
            }
        };
        LatentAttention hot =
                hiSparse(K, attending.withAttention(fragile, fragile)).implementations().prefill();
        try (Scene scene = new Scene(SHAPE, CacheDtype.F32, 200, 90)) {
            LatentCache cache = scene.cache.latents(0);
            QueryRows rows = scene.last(1);
            Selection[] old = new Selection[3];
            for (int i = 0; i < old.length; i++) { // of tokens that no step writes again
                old[i] = selection(scene.last(80));
                System.arraycopy(old[i].positions(), 80 * K, old[i].positions(), K, K);
                old[i].resize(2, K);
                old[i].finishRow(rows, 0, old[i].count(0));
                old[i].finishRow(rows, 1, old[i].count(1));
            }
            MlaQueries queries = queries(2);
            for (int attempt = 0; attempt < 7; attempt++) {
                Selection selection = old[(attempt + 1) / 2 % old.length];
                fails[0] = attempt % 2 == 1;
                if (fails[0]) {
                    assertThrows(IllegalStateException.class, () -> attend(hot, cache, rows, queries, selection));
                } else {
                    assertArrayEquals(
                            attend(attending.prefill(), cache, rows, queries, selection),
                            attend(hot, cache, rows, queries, selection));
                }
            }
        }
    }

    /** Sequences come and go, and their pages and hot rows are used again. */
    @Test
    void sequencesThatEnded() {
        Implementations attending = implementations("vector");
        Implementations hot = hiSparse(32, attending).implementations();
        try (Scene scene = new Scene(SHAPE, CacheDtype.FP8_E4M3, 10)) {
            LatentCache cache = scene.cache.latents(0);
            for (int i = 0; i < 20; i++) {
                PageTable table = new PageTable();
                scene.cache.pool().reserve(table, 150);
                scene.cache.randomize(table, 0, 150, i);
                QueryRows rows = new QueryRows();
                rows.add(table, 40, 150);
                compare(attending.prefill(), hot.prefill(), cache, rows);
                scene.cache.pool().release(table);
            }
        }
    }

    @Test
    void twoCachesAndWhatIsLeftOfThem() {
        Implementations attending = implementations("vector");
        Implementations hot = hiSparse(32, attending).implementations();
        try (Scene one = new Scene(SHAPE, CacheDtype.F32, 100)) {
            for (int i = 0; i < 3; i++) {
                compare(attending.prefill(), hot.prefill(), one.cache.latents(0), one.last(20));
                try (Scene other = new Scene(SHAPE, CacheDtype.BF16, 300)) {
                    compare(attending.prefill(), hot.prefill(), other.cache.latents(0), other.last(90));
                }
            }
        }
    }

    @Test
    void whatDoesNotGoTogether() {
        Implementations attending = implementations("vector");
        EngineException small = assertThrows(EngineException.class, () -> hiSparse(K - 1, attending));
        assertTrue(small.isUsage());
        assertTrue(small.getMessage().contains("at least " + K), small.getMessage());
        assertThrows(EngineException.class, () -> HiSparseOptions.of(0));

        Map<Phase, String> names = new EnumMap<>(attending.names());
        names.put(Phase.DECODE, "tornado");
        Implementations onDevice = new Implementations(
                attending.prefill(),
                attending.decode(),
                attending.indexer(),
                attending.topk(),
                attending.host(),
                names,
                attending.notice());
        EngineException device = assertThrows(EngineException.class, () -> hiSparse(K, onDevice));
        assertTrue(device.isUsage());
        assertTrue(device.getMessage().contains("--dsa-decode-backend tornado"), device.getMessage());
        assertFalse(device.getMessage().contains("\n"));
    }
}
