package dev.gyre.attention.policy;

import static dev.gyre.attention.Randoms.normal;

import dev.gyre.attention.IndexQueries;
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

import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.Random;

/** Queries over the last tokens of sequences on pages in random order, and policies that select there. */
final class PolicyScene implements AutoCloseable {
    static final int HEADS = 3;
    static final int LATENT = 21;
    static final int ROPE = 6;
    static final int INDEX_HEADS = 5;
    static final int DIM = 18;
    static final int TOPK = 100;
    static final int LAYERS = 4;

    final Scene scene;
    final WorkerPool pool = new WorkerPool(2);
    final LayerStep step;

    /** @param last how many tokens of each sequence are rows */
    PolicyScene(CacheDtype dtype, int last, int... lengths) {
        scene = new Scene(new CacheShape(LATENT, ROPE, DIM), dtype, lengths);
        QueryRows rows = scene.last(last);
        Random random = new Random(77);
        step = step(0, rows,
                normal(random, rows.rows() * HEADS * (LATENT + ROPE)),
                normal(random, rows.rows() * INDEX_HEADS * DIM),
                normal(random, rows.rows() * INDEX_HEADS));
    }

    /** A layer that asks these queries. */
    LayerStep step(int layer, QueryRows rows, float[] queries, float[] indexQueries, float[] indexWeights) {
        return new LayerStep(
                layer,
                rows,
                new MlaQueries(queries, HEADS, LATENT, ROPE, 0.3f),
                scene.cache.latents(0),
                new IndexQueries(indexQueries, indexWeights, INDEX_HEADS, DIM),
                scene.cache.indexKeys(0));
    }

    /** A row of {@link #step} as a step of its own. */
    LayerStep alone(int row) {
        int query = HEADS * (LATENT + ROPE);
        return step(0, Scene.alone(step.rows(), row),
                Arrays.copyOfRange(step.queries().queries(), row * query, (row + 1) * query),
                Arrays.copyOfRange(step.index().queries(), row * INDEX_HEADS * DIM, (row + 1) * INDEX_HEADS * DIM),
                Arrays.copyOfRange(step.index().weights(), row * INDEX_HEADS, (row + 1) * INDEX_HEADS));
    }

    Implementations implementations(String name) {
        Map<Phase, String> names = new EnumMap<>(Phase.class);
        for (Phase phase : Phase.values()) {
            names.put(phase, name);
        }
        return Implementations.choose(Providers.load(), names, Resources.of(pool));
    }

    PolicyContext context(String implementation, int topk, long scoreBytes) {
        Implementations implementations = implementations(implementation);
        return new PolicyContext(
                implementations.indexer(),
                implementations.topk(),
                implementations.host(),
                shape(topk),
                IndexSharing.none(LAYERS),
                scoreBytes);
    }

    static LayerShape shape(int topk) {
        return new LayerShape(HEADS, LATENT, ROPE, INDEX_HEADS, DIM, topk, LAYERS, 4 * (LATENT + ROPE), 4 * DIM);
    }

    SelectionPolicy policy(String spec, String implementation) {
        return SelectionPolicies.create(spec, context(implementation, TOPK, 1 << 20));
    }

    SelectionPolicy policy(String spec) {
        return policy(spec, Providers.VECTOR);
    }

    static Selection select(SelectionPolicy policy, LayerStep step) {
        Selection selection = new Selection();
        selection.resize(step.rows().rows(), TOPK);
        policy.select(step, selection);
        return selection;
    }

    /** The positions that a policy selects for a row. */
    static int[] chosen(SelectionPolicy policy, LayerStep step, int row) {
        return select(policy, step).chosen(step.rows(), row);
    }

    @Override
    public void close() {
        scene.close();
        pool.close();
    }
}
