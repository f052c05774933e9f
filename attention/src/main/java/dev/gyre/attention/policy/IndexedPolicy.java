package dev.gyre.attention.policy;

/** A policy that asks the indexer; it selects in the layers that run one. */
abstract class IndexedPolicy extends TopKPolicy {
    private final IndexSharing sharing;

    IndexedPolicy(PolicyParameters parameters, IndexSharing sharing) {
        super(parameters);
        this.sharing = sharing;
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
}
