package dev.gyre.tornado.decoder;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.attention.policy.SelectionPolicies;
import dev.gyre.model.config.ModelConfig;

/** Which tokens layers attend to: all, the best of their own indexer, or what the last layer that has one selected. */
record Selections(AttentionBackend attention, int topk) {
    /** Where rows attend to everything. */
    static final int ALL = 0;

    static Selections of(ModelConfig config, AttentionBackend attention) {
        String policy = attention.policy().spec();
        int colon = policy.indexOf(':');
        return switch (colon < 0 ? policy : policy.substring(0, colon)) {
            case SelectionPolicies.DENSE -> new Selections(attention, ALL);
            case SelectionPolicies.INDEXER, "shared" -> new Selections(attention, config.indexer().topk());
            default -> throw new EngineException("--linear-backend tornado does not know the selection policy " + policy
                    + "; use --linear-backend vector for it.");
        };
    }

    /** Whether a layer runs its indexer. */
    boolean scores(int layer) {
        return attention.usesIndexer(layer);
    }

    /** Whether a layer selects by itself. */
    boolean selects(int layer) {
        return topk != ALL && attention.policy().selects(layer);
    }
}
