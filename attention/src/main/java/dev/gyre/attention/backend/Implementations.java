package dev.gyre.attention.backend;

import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;

import java.util.EnumMap;
import java.util.Map;

/**
 * The implementations that serve the phases of one engine.
 *
 * @param names which provider was chosen for each phase
 */
public record Implementations(
        LatentAttention prefill, LatentAttention decode, IndexScorer indexer, TopK topk, Map<Phase, String> names) {
    /** Chooses by name; a phase that {@code choice} does not mention is {@code auto}. */
    public static Implementations choose(Providers providers, Map<Phase, String> choice, WorkerPool pool) {
        Map<Phase, AttentionProvider> chosen = new EnumMap<>(Phase.class);
        Map<Phase, String> names = new EnumMap<>(Phase.class);
        for (Phase phase : Phase.values()) {
            AttentionProvider provider = providers.choose(phase, choice.getOrDefault(phase, Providers.AUTO));
            chosen.put(phase, provider);
            names.put(phase, provider.name());
        }
        return new Implementations(
                chosen.get(Phase.PREFILL).latentAttention(pool),
                chosen.get(Phase.DECODE).latentAttention(pool),
                chosen.get(Phase.INDEXER).indexScorer(pool),
                chosen.get(Phase.TOPK).topK(pool),
                Map.copyOf(names));
    }
}
