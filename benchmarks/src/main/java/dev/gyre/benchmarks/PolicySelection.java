package dev.gyre.benchmarks;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.Implementations;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;
import dev.gyre.attention.backend.Resources;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.attention.policy.IndexSharing;
import dev.gyre.attention.policy.LayerShape;
import dev.gyre.attention.policy.PolicyContext;
import dev.gyre.attention.policy.SelectionPolicies;
import dev.gyre.attention.policy.SelectionPolicy;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * What it takes to select 2048 tokens in a decode step, index scores and top-k: 64 index heads x 128. Several policies
 * take turns in one process, each JMH iteration another one's, so that what else happens on the machine meets all of
 * them alike; {@link PolicyReport} takes the iterations apart.
 */
@State(Scope.Benchmark)
public class PolicySelection {
    static final int HEADS = 64;
    static final int DIM = 128;
    static final int TOPK = 2048;
    /** Tokens that are about one thing: their keys have a direction in common. */
    private static final int TOPIC = 300;
    /** Longer contexts are not compared with the reference, which takes seconds for a step. */
    private static final int COMPARED = 16_384;

    /** Who selects: policies between + signs, in turns. */
    @Param("indexer+hisa+misa")
    public String policies;

    /** How keys are cached. */
    @Param({"f32", "bf16"})
    public String dtype;

    /** Tokens that the row sees. */
    @Param({"8192", "16384", "32768", "65536", "131072", "163840"})
    public int context;

    private final Selection selection = new Selection();
    private WorkerPool pool;
    private KvCache cache;
    private LayerStep step;
    private SelectionPolicy[] turns;
    private SelectionPolicy selecting;
    private int turn;
    private float[] lastKey;

    /** Fills the cache, and checks the selections where the reference is not too slow for it. */
    @Setup
    public void setUp() {
        fill();
        String[] names = policies.split("\\+");
        turns = new SelectionPolicy[names.length];
        for (int i = 0; i < turns.length; i++) {
            turns[i] = policy(names[i], Providers.VECTOR);
            selecting = turns[i];
            select();
            if (context <= COMPARED) {
                double same = recall(policy(names[i], Providers.REFERENCE));
                if (same < 0.999) { // scores that are equal but for rounding
                    throw new IllegalStateException(names[i] + " has " + same + " of the reference's selection");
                }
            }
        }
    }

    private void fill() {
        pool = new WorkerPool(Inputs.threads());
        cache = new KvCache(1, new CacheShape(1, 1, DIM), CacheDtype.of(dtype), context);
        PageTable table = new PageTable();
        cache.pool().reserve(table, context);
        fillWithTopics(table);
        QueryRows rows = new QueryRows();
        rows.add(table, context - 1, context);
        IndexQueries index =
                new IndexQueries(Inputs.normal(HEADS * DIM, 2), Inputs.normal(HEADS, 3), HEADS, DIM);
        step = new LayerStep(0, rows, null, null, index, cache.indexKeys(0));
        selection.resize(1, TOPK);
    }

    /** The next policy's turn. */
    @Setup(Level.Iteration)
    public void next() {
        selecting = turns[turn++ % turns.length];
    }

    private void fillWithTopics(PageTable table) {
        SplittableRandom random = new SplittableRandom(1);
        float[] topic = new float[DIM];
        lastKey = new float[DIM];
        for (int position = 0; position < context; position++) {
            for (int d = 0; d < DIM; d++) {
                topic[d] = position % TOPIC == 0 ? (float) random.nextGaussian() : topic[d];
                lastKey[d] = topic[d] + (float) random.nextGaussian();
            }
            cache.indexKeys(0).write(table.slot(position), lastKey, 0);
        }
    }

    private SelectionPolicy policy(String spec, String implementation) {
        Map<Phase, String> names = new EnumMap<>(Phase.class);
        for (Phase phase : Phase.values()) {
            names.put(phase, implementation);
        }
        Implementations implementations = Implementations.choose(Providers.load(), names, Resources.of(pool));
        return SelectionPolicies.create(spec, new PolicyContext(
                implementations.indexer(),
                implementations.topk(),
                implementations.host(),
                shape(CacheDtype.of(dtype)),
                IndexSharing.none(1),
                256L << 20));
    }

    /** A layer of DeepSeek-V3.2. */
    static LayerShape shape(CacheDtype dtype) {
        CacheShape cached = new CacheShape(512, 64, DIM);
        return new LayerShape(
                128, 512, 64, HEADS, DIM, TOPK, 1, cached.latentBytes(dtype), cached.indexBytes(dtype));
    }

    /** How much of what another policy selects this one does. */
    private double recall(SelectionPolicy other) {
        Selection wanted = new Selection();
        wanted.resize(1, TOPK);
        other.select(step, wanted);
        int[] found = selection.chosen(step.rows(), 0);
        long common = Arrays.stream(wanted.chosen(step.rows(), 0))
                .filter(position -> Arrays.binarySearch(found, position) >= 0)
                .count();
        return (double) common / TOPK;
    }

    /** How much of the exact selection each policy finds. */
    static double[] recalls(String policies, String dtype, int context) {
        PolicySelection measured = new PolicySelection();
        measured.policies = policies;
        measured.dtype = dtype;
        measured.context = context;
        measured.setUp();
        try {
            SelectionPolicy exact = measured.policy(SelectionPolicies.INDEXER, Providers.VECTOR);
            return Arrays.stream(measured.turns).mapToDouble(policy -> {
                policy.select(measured.step, measured.selection);
                return measured.recall(exact);
            }).toArray();
        } finally {
            measured.tearDown();
        }
    }

    /** Gives memory and threads back. */
    @TearDown
    public void tearDown() {
        cache.close();
        pool.close();
    }

    /** One row, whose own key is new. */
    @Benchmark
    public Selection select() {
        cache.indexKeys(0).write(step.rows().slot(0, context - 1), lastKey, 0);
        selecting.select(step, selection);
        return selection;
    }
}
