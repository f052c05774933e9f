package dev.gyre.attention.backend;

import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;

import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;

/**
 * The implementations that serve the phases of one engine.
 *
 * @param names which provider was chosen for each phase
 * @param notice a sentence for the user where some phase was {@code auto} and the fastest was not available
 */
public record Implementations(
        LatentAttention prefill,
        LatentAttention decode,
        IndexScorer indexer,
        TopK topk,
        Map<Phase, String> names,
        Optional<String> notice) {
    /** Chooses by name; a phase that {@code choice} does not mention is {@code auto}. */
    public static Implementations choose(Providers providers, Map<Phase, String> choice, WorkerPool pool) {
        Map<Phase, AttentionProvider> chosen = new EnumMap<>(Phase.class);
        Map<Phase, String> names = new EnumMap<>(Phase.class);
        boolean automatic = false;
        for (Phase phase : Phase.values()) {
            String name = choice.getOrDefault(phase, Providers.AUTO);
            automatic |= name.equals(Providers.AUTO);
            AttentionProvider provider = providers.choose(phase, name);
            chosen.put(phase, provider);
            names.put(phase, provider.name());
        }
        return new Implementations(
                chosen.get(Phase.PREFILL).latentAttention(pool),
                chosen.get(Phase.DECODE).latentAttention(pool),
                chosen.get(Phase.INDEXER).indexScorer(pool),
                chosen.get(Phase.TOPK).topK(pool),
                Map.copyOf(names),
                automatic ? providers.notice() : Optional.empty());
    }
}
