package dev.gyre.attention.policy;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.attention.cache.IndexKeyCache;

/**
 * A policy that asks the indexer. It selects in the layers that run one; policies that do without an indexer select in
 * every layer.
 */
abstract class IndexedPolicy extends TopKPolicy {
    private final IndexScorer indexer;
    private final TopK topk;
    private final IndexSharing sharing;
    private final ScoreBuffer buffer;

    IndexedPolicy(PolicyParameters parameters, PolicyContext context, IndexSharing sharing) {
        super(parameters, context);
        this.sharing = sharing;
        indexer = context.indexer();
        topk = context.topk();
        buffer = new ScoreBuffer(context.scoreBytes());
    }

    @Override
    public final boolean usesIndexer() {
        return true;
    }

    @Override
    public final boolean selects(int layer) {
        return sharing.runs(layer);
    }

    /** The share of the layers that select. */
    final double share() {
        return sharing.share();
    }

    /** Scores all that the rows [from, to) see and selects the best. */
    final void chooseBest(
            IndexQueries queries, IndexKeyCache keys, QueryRows rows, int from, int to, Selection selection) {
        int stride = rows.longest();
        for (int first = from; first < to; ) {
            int end = buffer.end(first, to, stride);
            float[] scores = buffer.reserve(end - first, stride);
            indexer.score(queries, keys, rows, first, end, scores, stride);
            topk.select(scores, stride, rows, first, end, selection);
            first = end;
        }
    }
}
