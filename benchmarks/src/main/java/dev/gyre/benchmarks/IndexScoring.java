package dev.gyre.benchmarks;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.Resources;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The lightning indexer's scores of 64 heads x 128 for some rows over a context. */
@State(Scope.Benchmark)
public class IndexScoring {
    static final int HEADS = 64;
    static final int DIM = 128;
    /** Cached tokens. */
    static final int CONTEXT = 32_768;

    /** Who computes. */
    @Param({"reference", "vector"})
    public String implementation;

    /** How keys are cached. */
    @Param({"f32", "bf16", "fp8_e4m3"})
    public String dtype;

    /** Query rows: 1 is decode. */
    @Param({"1", "16"})
    public int rows;

    private WorkerPool pool;
    private KvCache cache;
    private QueryRows queryRows;
    private IndexQueries queries;
    private IndexScorer scorer;
    private float[] scores;

    /** Fills the cache and checks the scores of the last row. */
    @Setup
    public void setUp() {
        pool = new WorkerPool(Inputs.threads());
        cache = new KvCache(1, new CacheShape(1, 1, DIM), CacheDtype.of(dtype), CONTEXT);
        PageTable table = new PageTable();
        cache.pool().reserve(table, CONTEXT);
        cache.randomize(table, 0, CONTEXT, 1);
        queryRows = new QueryRows();
        queryRows.add(table, CONTEXT - rows, CONTEXT);
        queries = new IndexQueries(
                Inputs.normal(rows * HEADS * DIM, 2), Inputs.normal(rows * HEADS, 3), HEADS, DIM);
        scores = new float[rows * CONTEXT];
        scorer = Inputs.provider(implementation).indexScorer(Resources.of(pool));
        float[] expected = new float[CONTEXT];
        Inputs.provider("reference").indexScorer(Resources.of(pool))
                .score(queries, cache.indexKeys(0), queryRows, rows - 1, rows, expected, CONTEXT);
        score();
        float[] last = new float[CONTEXT];
        System.arraycopy(scores, (rows - 1) * CONTEXT, last, 0, CONTEXT);
        Inputs.check(expected, last, 1e-5);
    }

    /** Gives memory and threads back. */
    @TearDown
    public void tearDown() {
        cache.close();
        pool.close();
    }

    /** All rows. */
    @Benchmark
    public float[] score() {
        scorer.score(queries, cache.indexKeys(0), queryRows, 0, rows, scores, CONTEXT);
        return scores;
    }

    /** Multiplications and additions of one call. */
    static double flops(int rows) {
        return 2.0 * HEADS * DIM * CONTEXT * rows;
    }
}
