package dev.gyre.attention.hisparse;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.LatentCache;

import java.util.function.Function;

/**
 * Attention that reads hot latents: what a row selected and is not hot is fetched from the store first. Another
 * implementation attends, over the hot rows in place of the store's, in the same order: the bits are the same. Where
 * the rows of a step select more than there is room for, they are served in groups that fit, one after the other.
 */
final class HotLatentAttention implements LatentAttention {
    private final LatentAttention attention;
    private final Function<LatentCache, HotLayer> layers;
    private final int hotTokens;
    private final WorkerPool pool;
    /** Everything that rows see, where nothing was selected. */
    private final Selection everything = new Selection();
    private int[] hotSlots = new int[0];
    private float[] groupQueries = new float[0];
    private float[] groupOut = new float[0];
    private long selected;
    private long hits;
    private long evictions;
    private long bytesFetched;
    private volatile HiSparseStats stats = HiSparseStats.NONE;

    /** @param layers the hot rows of each cache */
    HotLatentAttention(
            LatentAttention attention, Function<LatentCache, HotLayer> layers, int hotTokens, WorkerPool pool) {
        this.attention = attention;
        this.layers = layers;
        this.hotTokens = hotTokens;
        this.pool = pool;
    }

    /** What was hot so far; any thread may ask. */
    HiSparseStats stats() {
        return stats;
    }

    /** Without sequences, so from the store itself. */
    @Override
    public void sparse(MlaQueries queries, LatentCache cache, int[] slots, int rows, int k, float[] out) {
        attention.sparse(queries, cache, slots, rows, k, out);
    }

    @Override
    public void sparse(LayerStep step, Selection selection, float[] out) {
        attend(step.queries(), step.latents(), step.rows(), selection, out);
    }

    @Override
    public void dense(MlaQueries queries, LatentCache cache, QueryRows rows, float[] out) {
        if (rows.longest() > hotTokens) {
            throw new EngineException("dense attention to " + rows.longest() + " tokens needs them all, and HiSparse "
                    + "keeps " + hotTokens + " hot; raise --hisparse-hot-tokens or leave it out.");
        }
        everything.resize(rows.rows(), rows.longest());
        for (int row = 0; row < rows.rows(); row++) {
            everything.selectAll(rows, row);
        }
        attend(queries, cache, rows, everything, out);
    }

    private void attend(MlaQueries queries, LatentCache cache, QueryRows rows, Selection selection, float[] out) {
        HotLayer layer = layers.apply(cache);
        boolean served = false;
        try {
            attend(queries, layer, rows, selection, out);
            served = true;
        } finally {
            if (!served) {
                layer.forget(); // what was to be fetched may not be there
            }
        }
        stats = new HiSparseStats(selected, hits, evictions, bytesFetched);
    }

    private void attend(MlaQueries queries, HotLayer layer, QueryRows rows, Selection selection, float[] out) {
        int k = selection.k();
        if (hotSlots.length < Math.multiplyExact(rows.rows(), k)) {
            hotSlots = new int[rows.rows() * k];
        }
        int first = 0;
        long group = layer.nextGroup();
        HotSequence sequence = null;
        for (int row = 0; row < rows.rows(); row++) {
            if (row == 0 || rows.sequence(row) != rows.sequence(row - 1)) {
                sequence = layer.sequence(rows.table(row));
                sequence.step(rows.position(row), rows.visible(last(rows, row)));
            }
            int count = selection.count(row);
            if (!sequence.fits(selection.positions(), row * k, count, group)) {
                serve(queries, layer, first, row, k, rows.rows(), out);
                first = row;
                group = layer.nextGroup();
                sequence.fits(selection.positions(), row * k, count, group);
            }
            admit(layer, sequence, rows, row, selection, count, (row - first) * k);
        }
        serve(queries, layer, first, rows.rows(), k, rows.rows(), out);
    }

    /** The last row of the same sequence. */
    private static int last(QueryRows rows, int row) {
        int last = row;
        while (last + 1 < rows.rows() && rows.sequence(last + 1) == rows.sequence(row)) {
            last++;
        }
        return last;
    }

    /** Makes what a row selected hot: first what is, so that it stays, then the rest. */
    private void admit(
            HotLayer layer, HotSequence sequence, QueryRows rows, int row, Selection selection, int count, int at) {
        int k = selection.k();
        int[] positions = selection.positions();
        for (int i = 0; i < k; i++) {
            hotSlots[at + i] = i < count ? sequence.use(positions[row * k + i]) : Selection.NONE;
        }
        selected += count;
        hits += count;
        for (int i = 0; i < count; i++) {
            if (hotSlots[at + i] == Selection.NONE) {
                int position = positions[row * k + i];
                if (!sequence.isNew(position)) {
                    hits--;
                    bytesFetched += layer.rows().rowBytes();
                }
                evictions += sequence.isFull() ? 1 : 0;
                hotSlots[at + i] = sequence.take(position);
                layer.wants(rows.slot(row, position), hotSlots[at + i]);
            }
        }
    }

    /** Attends for the rows of a group. */
    private void serve(MlaQueries queries, HotLayer layer, int from, int to, int k, int rows, float[] out) {
        layer.fetch(pool);
        int count = to - from;
        if (count == rows) {
            attention.sparse(queries, layer.rows(), hotSlots, rows, k, out);
            return;
        }
        int asked = queries.heads() * queries.width();
        int answered = queries.heads() * queries.latent();
        if (groupQueries.length < Math.multiplyExact(count, asked)) {
            groupQueries = new float[count * asked];
            groupOut = new float[count * answered];
        }
        System.arraycopy(queries.queries(), from * asked, groupQueries, 0, count * asked);
        MlaQueries some =
                new MlaQueries(groupQueries, queries.heads(), queries.latent(), queries.rope(), queries.scale());
        attention.sparse(some, layer.rows(), hotSlots, count, k, groupOut);
        System.arraycopy(groupOut, 0, out, from * answered, count * answered);
    }
}
