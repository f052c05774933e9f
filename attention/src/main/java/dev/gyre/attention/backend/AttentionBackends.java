package dev.gyre.attention.backend;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.policy.PolicyContext;
import dev.gyre.attention.policy.SelectionPolicies;
import dev.gyre.attention.policy.SelectionPolicy;

import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntPredicate;

/** The attention backends by name, as {@code --attention-backend} takes them. */
public final class AttentionBackends {
    /** DeepSeek Sparse Attention. */
    public static final String DSA = "dsa";
    /** Attention to everything. */
    public static final String DENSE = "dense";

    /** The selection policy of a backend for which none is asked. */
    private static final Map<String, String> POLICIES = new TreeMap<>(Map.of(
            DSA, SelectionPolicies.INDEXER,
            "nsa", SelectionPolicies.INDEXER, // SGLang's former name of the same
            DENSE, SelectionPolicies.DENSE));

    private AttentionBackends() {}

    /**
     * The backend of that name.
     *
     * @param policy what selects, as {@link SelectionPolicies#create} takes it; null for what the backend implies
     * @param context its shape has no index heads where the model has no indexer: then only {@code dense} is possible
     * @param measured whether indexers run also where the policy has no use for them, so that what it selects can be
     *     compared with what they would
     */
    public static AttentionBackend create(
            String name, String policy, PolicyContext context, boolean measured, Implementations implementations) {
        String implied = POLICIES.get(name);
        if (implied == null) {
            throw EngineException.usage("--attention-backend " + name + " is not known; use one of "
                    + String.join(", ", POLICIES.keySet()) + ".");
        }
        boolean hasIndexer = context.shape().indexHeads() > 0;
        if (!hasIndexer && !name.equals(DENSE)) {
            throw new EngineException("--attention-backend " + name
                    + " needs a model with an indexer (index_topk in config.json), and this one has none; use dense.");
        }
        if (policy != null && !policy.equals(implied) && name.equals(DENSE)) {
            throw EngineException.usage("the selection policy " + policy
                    + " selects nothing where attention is dense; "
                    + (hasIndexer ? "use --attention-backend dsa." : "it needs a model with an indexer."));
        }
        SelectionPolicy chosen = SelectionPolicies.create(policy == null ? implied : policy, context);
        IntPredicate indexers = measured && hasIndexer ? context.sharing()::runs : layer -> false;
        return new SparseBackend(chosen, context.shape().topk(), indexers, implementations);
    }
}
