package dev.gyre.attention.hisparse;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.Implementations;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;
import dev.gyre.attention.cache.LatentCache;

import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/** The hot latents of one engine: put before whichever implementations attend. One thread at a time. */
public final class HiSparse {
    private final HiSparseOptions options;
    private final Map<LatentCache, HotLayer> layers = new IdentityHashMap<>();
    private final Implementations implementations;
    private final HotLatentAttention prefill;
    private final HotLatentAttention decode;

    /**
     * @param topk the most tokens that a row selects: they must be hot together
     * @param pool the threads that share the copying
     */
    public HiSparse(HiSparseOptions options, int topk, Implementations attending, WorkerPool pool) {
        if (options.hotTokens() < topk) {
            throw EngineException.usage("--hisparse-hot-tokens " + options.hotTokens() + " is less than the " + topk
                    + " tokens (index_topk) that one attends to; give it at least " + topk + ", better twice that.");
        }
        for (Phase phase : List.of(Phase.PREFILL, Phase.DECODE)) {
            if (attending.names().get(phase).equals(Providers.TORNADO)) {
                throw EngineException.usage("--hisparse-hot-tokens keeps latents hot in the machine's memory, and "
                        + phase.option() + " tornado has its own copy of all of them; use vector.");
            }
        }
        this.options = options;
        prefill = new HotLatentAttention(attending.prefill(), this::layer, options.hotTokens(), pool);
        decode = new HotLatentAttention(attending.decode(), this::layer, options.hotTokens(), pool);
        implementations = attending.withAttention(prefill, decode);
    }

    private HotLayer layer(LatentCache store) {
        HotLayer known = layers.get(store);
        if (known == null) {
            HotLayer added = new HotLayer(store, options.hotTokens());
            store.onClose(() -> {
                layers.remove(store);
                added.close();
            });
            layers.put(store, added);
            known = added;
        }
        return known;
    }

    /** The same implementations, whose attention reads hot latents. */
    public Implementations implementations() {
        return implementations;
    }

    /** What was hot so far, by {@link Phase#PREFILL} and {@link Phase#DECODE}; any thread may ask. */
    public Map<Phase, HiSparseStats> stats() {
        return Map.of(Phase.PREFILL, prefill.stats(), Phase.DECODE, decode.stats());
    }
}
