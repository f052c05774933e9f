package dev.gyre.attention.policy;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;

/**
 * {@code indexer}: DeepSeek Sparse Attention as it is (arXiv 2512.02556, section 2.1). The lightning indexer scores
 * every token that a row sees, and the k best are attended to.
 *
 * <p>Cost of a row that sees L tokens: {@code 2 H D L} operations and L index keys read.
 *
 * <p>{@code shared} is the same with an indexer in some of the layers only (IndexCache, arXiv 2603.12201), whatever the
 * model's configuration says of that; it costs that share of the above.
 */
final class IndexerPolicy extends IndexedPolicy {
    private IndexerPolicy(PolicyParameters parameters, PolicyContext context, IndexSharing sharing) {
        super(parameters, context, sharing);
    }

    /** Layers share as the model's configuration says. */
    static IndexerPolicy indexer(PolicyParameters parameters, PolicyContext context) {
        return new IndexerPolicy(parameters, context, context.sharing());
    }

    /** Layers share as the parameters say. */
    static IndexerPolicy shared(PolicyParameters parameters, PolicyContext context) {
        int freq = parameters.count("freq", 1);
        int offset = parameters.count("offset", 1);
        LayerShape shape = context.shape();
        IndexSharing all = IndexSharing.every(freq, offset, shape.firstLayer() + shape.layers());
        return new IndexerPolicy(parameters, context, all.slice(shape.firstLayer(), shape.layers()));
    }

    @Override
    void choose(LayerStep step, int from, int to, Selection selection) {
        chooseBest(step.index(), step.keys(), step.rows(), from, to, selection);
    }

    @Override
    public SelectionCost cost(int context) {
        double operations = shape.scoreOperations(shape.indexHeads()) * context;
        return shape.choosing(operations, (double) shape.indexBytes() * context, context).choosing(share());
    }
}
