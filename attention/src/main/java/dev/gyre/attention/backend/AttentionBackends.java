package dev.gyre.attention.backend;

import dev.gyre.attention.EngineException;

import java.util.Map;
import java.util.TreeMap;

/** The attention backends by name, as {@code --attention-backend} takes them. */
public final class AttentionBackends {
    /** DeepSeek Sparse Attention. */
    public static final String DSA = "dsa";
    /** Attention to everything. */
    public static final String DENSE = "dense";

    private static final Map<String, Factory> FACTORIES = new TreeMap<>();

    static {
        FACTORIES.put(DSA, SparseBackend::new);
        FACTORIES.put("nsa", SparseBackend::new); // SGLang's former name of the same
        FACTORIES.put(DENSE, (implementations, scoreBytes) -> new DenseBackend(implementations));
    }

    private AttentionBackends() {}

    /** Makes a backend. */
    private interface Factory {
        AttentionBackend create(Implementations implementations, long scoreBytes);
    }

    /**
     * The backend of that name.
     *
     * @param hasIndexer whether the model can score; without, only {@code dense} is possible
     * @param scoreBytes the most memory that index scores may take at a time
     */
    public static AttentionBackend create(
            String name, boolean hasIndexer, Implementations implementations, long scoreBytes) {
        Factory factory = FACTORIES.get(name);
        if (factory == null) {
            throw EngineException.usage("--attention-backend " + name + " is not known; use one of "
                    + String.join(", ", FACTORIES.keySet()) + ".");
        }
        AttentionBackend backend = factory.create(implementations, scoreBytes);
        if (backend.usesIndexer() && !hasIndexer) {
            throw new EngineException("--attention-backend " + name
                    + " needs a model with an indexer (index_topk in config.json), and this one has none; use dense.");
        }
        return backend;
    }
}
