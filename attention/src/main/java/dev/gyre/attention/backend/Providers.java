package dev.gyre.attention.backend;

import dev.gyre.attention.EngineException;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.stream.Collectors;

/** The implementations on the class path, the preferred first. */
public final class Providers {
    /** The name that picks the preferred available implementation. */
    public static final String AUTO = "auto";
    /** The implementation in plain Java. */
    public static final String REFERENCE = "reference";
    /** The implementation with the Vector API. */
    public static final String VECTOR = "vector";

    private final List<AttentionProvider> providers;

    /** These implementations. */
    public Providers(List<AttentionProvider> providers) {
        this.providers = new ArrayList<>(providers);
        this.providers.sort(Comparator.comparingInt(AttentionProvider::preference).reversed());
    }

    /** All that {@link ServiceLoader} finds. */
    public static Providers load() {
        List<AttentionProvider> found = new ArrayList<>();
        ServiceLoader.load(AttentionProvider.class, Providers.class.getClassLoader()).forEach(found::add);
        return new Providers(found);
    }

    /** All of them, the preferred first, available or not. */
    public List<AttentionProvider> all() {
        return List.copyOf(providers);
    }

    /** Where {@code auto} cannot take the preferred implementation: one sentence that says why and what to do. */
    public Optional<String> notice() {
        AttentionProvider preferred = providers.getFirst();
        return preferred.missing().map(reason -> "the implementation " + preferred.name()
                + ", the fastest, is not available, and a slower one is used: " + reason + ".");
    }

    /** The implementation of that name for a phase, or the preferred one for {@code auto}; never a silent fallback. */
    public AttentionProvider choose(Phase phase, String name) {
        if (name.equals(AUTO)) {
            return providers.stream()
                    .filter(provider -> provider.missing().isEmpty())
                    .findFirst()
                    .orElseThrow(() -> new EngineException("no attention implementation is on the class path."));
        }
        for (AttentionProvider provider : providers) {
            if (provider.name().equals(name)) {
                provider.missing().ifPresent(reason -> {
                    throw new EngineException(phase.option() + " " + name + " is not available: " + reason + ".");
                });
                return provider;
            }
        }
        String known = providers.stream().map(AttentionProvider::name).collect(Collectors.joining(", "));
        throw EngineException.usage(
                phase.option() + " " + name + " is not available here; use one of auto, " + known + ".");
    }
}
