package dev.gyre.attention.backend;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;
import dev.gyre.attention.policy.HostOperations;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;

/**
 * The implementations that serve the phases of one engine.
 *
 * @param host what runs on the engine's threads, whoever serves the phases
 * @param names which provider was chosen for each phase
 * @param notice a sentence for the user where some phase was {@code auto} and the fastest was not available
 */
public record Implementations(
        LatentAttention prefill,
        LatentAttention decode,
        IndexScorer indexer,
        TopK topk,
        HostOperations host,
        Map<Phase, String> names,
        Optional<String> notice)
        implements AutoCloseable {
    /** Chooses by name; a phase that {@code choice} does not mention is {@code auto}. */
    public static Implementations choose(Providers providers, Map<Phase, String> choice, Resources resources) {
        Map<Phase, AttentionProvider> chosen = Choice.of(providers, choice, resources.devices());
        Map<Phase, String> names = new EnumMap<>(Phase.class);
        chosen.forEach((phase, provider) -> names.put(phase, provider.name()));
        Optional<String> notice = Arrays.stream(Phase.values())
                .filter(phase -> choice.getOrDefault(phase, Providers.AUTO).equals(Providers.AUTO))
                .flatMap(phase -> providers.notice(phase).stream())
                .findFirst();
        AttentionProvider forPrefill = chosen.get(Phase.PREFILL);
        AttentionProvider forDecode = chosen.get(Phase.DECODE);
        LatentAttention decode = forDecode.latentAttention(resources);
        return new Implementations(
                // one object where one provider serves both: it may keep a copy of the caches
                forPrefill == forDecode ? decode : forPrefill.latentAttention(resources),
                decode,
                chosen.get(Phase.INDEXER).indexScorer(resources),
                chosen.get(Phase.TOPK).topK(resources),
                host(providers, chosen.get(Phase.INDEXER), resources),
                Map.copyOf(names),
                notice);
    }

    /** The same with attention that goes through these. */
    public Implementations withAttention(LatentAttention forPrefill, LatentAttention forDecode) {
        return new Implementations(forPrefill, forDecode, indexer, topk, host, names, notice);
    }

    /** Operations of the provider that scores, or where that uses a device, of the preferred one that does not. */
    private static HostOperations host(Providers providers, AttentionProvider scoring, Resources resources) {
        AttentionProvider provider = scoring.devices().isEmpty() ? scoring : providers.onThreads();
        return new HostOperations(
                provider.indexScorer(resources), provider.topK(resources), provider.attentionMass(resources));
    }

    /** Gives back what implementations hold besides the caches' copies; they must not be used again. */
    @Override
    public void close() {
        for (Object implementation : Arrays.asList(prefill, decode, indexer, topk)) {
            if (implementation instanceof AutoCloseable closing) {
                try {
                    closing.close();
                } catch (Exception e) {
                    throw new EngineException("attention could not give back what it held: " + e.getMessage(), e);
                }
            }
        }
    }
}
