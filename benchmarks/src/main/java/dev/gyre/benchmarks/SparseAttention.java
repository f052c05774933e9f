package dev.gyre.benchmarks;

import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.MlaQueries;
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

import java.util.Arrays;
import java.util.SplittableRandom;

/** Sparse MLA: 128 heads over 2048 selected of 32K cached rows of 576. */
@State(Scope.Benchmark)
public class SparseAttention {
    static final int HEADS = 128;
    static final int LATENT = 512;
    static final int ROPE = 64;
    static final int SELECTED = 2048;
    /** Cached tokens. */
    static final int CONTEXT = 32_768;

    /** Who computes. */
    @Param({"reference", "vector"})
    public String implementation;

    /** How latents are cached. */
    @Param({"f32", "bf16", "fp8_e4m3"})
    public String dtype;

    /** Query rows: 1 is decode. */
    @Param({"1", "8"})
    public int rows;

    private WorkerPool pool;
    private KvCache cache;
    private MlaQueries queries;
    private LatentAttention attention;
    private int[] slots;
    private float[] out;

    /** Fills the cache, selects at random, and checks the last row. */
    @Setup
    public void setUp() {
        pool = new WorkerPool(Inputs.threads());
        cache = new KvCache(1, new CacheShape(LATENT, ROPE, 0), CacheDtype.of(dtype), CONTEXT);
        PageTable table = new PageTable();
        cache.pool().reserve(table, CONTEXT);
        cache.randomize(table, 0, CONTEXT, 1);
        SplittableRandom random = new SplittableRandom(2);
        slots = new int[rows * SELECTED];
        for (int row = 0; row < rows; row++) {
            int[] selected = random.ints(0, CONTEXT).distinct().limit(SELECTED).sorted().toArray();
            System.arraycopy(selected, 0, slots, row * SELECTED, SELECTED);
        }
        int width = LATENT + ROPE;
        float[] q = Inputs.normal(rows * HEADS * width, 3);
        queries = new MlaQueries(q, HEADS, LATENT, ROPE, 0.05f);
        out = new float[rows * HEADS * LATENT];
        attention = Inputs.provider(implementation).latentAttention(Resources.of(pool));
        float[] expected = new float[HEADS * LATENT];
        MlaQueries lastQuery = new MlaQueries(
                Arrays.copyOfRange(q, (rows - 1) * HEADS * width, rows * HEADS * width), HEADS, LATENT, ROPE, 0.05f);
        int[] lastSlots = Arrays.copyOfRange(slots, (rows - 1) * SELECTED, rows * SELECTED);
        Inputs.provider("reference").latentAttention(Resources.of(pool))
                .sparse(lastQuery, cache.latents(0), lastSlots, 1, SELECTED, expected);
        attend();
        Inputs.check(expected, Arrays.copyOfRange(out, (rows - 1) * HEADS * LATENT, out.length), 1e-5);
    }

    /** Gives memory and threads back. */
    @TearDown
    public void tearDown() {
        cache.close();
        pool.close();
    }

    /** All rows. */
    @Benchmark
    public float[] attend() {
        attention.sparse(queries, cache.latents(0), slots, rows, SELECTED, out);
        return out;
    }

    /** Multiplications and additions of one call. */
    static double flops(int rows) {
        return 2.0 * rows * HEADS * SELECTED * (LATENT + ROPE + LATENT);
    }
}
