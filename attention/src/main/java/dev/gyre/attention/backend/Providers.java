package dev.gyre.attention.backend;

import dev.gyre.attention.EngineException;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The implementations on the class path, the preferred first. */
public final class Providers {
    /** The name that picks the preferred available implementation. */
    public static final String AUTO = "auto";
    /** The implementation in plain Java. */
    public static final String REFERENCE = "reference";
    /** The implementation with the Vector API. */
    public static final String VECTOR = "vector";
    /** The implementation with kernels of TornadoVM, which not every build carries. */
    public static final String TORNADO = "tornado";
    /** What is said of {@link #TORNADO} where it was not built. */
    public static final String NO_TORNADO =
            "not in this build; install the TornadoVM SDK, set TORNADOVM_HOME and build again";

    private final List<Ranked> ranking;

    /** A provider and its preference, which may take time to find out. */
    private record Ranked(AttentionProvider provider, int preference) {}

    /** These implementations. */
    public Providers(List<AttentionProvider> providers) {
        ranking = providers.stream()
                .map(provider -> new Ranked(provider, provider.preference()))
                .sorted(Comparator.comparingInt(Ranked::preference).reversed())
                .toList();
    }

    /** All that {@link ServiceLoader} finds. */
    public static Providers load() {
        List<AttentionProvider> found = new ArrayList<>();
        ServiceLoader.load(AttentionProvider.class, Providers.class.getClassLoader()).forEach(found::add);
        return new Providers(found);
    }

    /** All of them, the preferred first, available or not. */
    public List<AttentionProvider> all() {
        return ranking.stream().map(Ranked::provider).toList();
    }

    /** Where {@code auto} cannot take the preferred implementation: one sentence that says why and what to do. */
    public Optional<String> notice(Phase phase) {
        AttentionProvider preferred = automatic(phase).findFirst().orElseThrow(Providers::none);
        return preferred.missing().map(reason -> "the implementation " + preferred.name()
                + ", the fastest, is not available, and a slower one is used: " + reason + ".");
    }

    /** The implementation of that name for a phase, or the preferred one for {@code auto}; never a silent fallback. */
    public AttentionProvider choose(Phase phase, String name) {
        if (name.equals(AUTO)) {
            return automatic(phase)
                    .filter(provider -> provider.missing().isEmpty())
                    .findFirst()
                    .orElseThrow(Providers::none);
        }
        for (AttentionProvider provider : all()) {
            if (provider.name().equals(name)) {
                if (!provider.serves(phase)) {
                    throw EngineException.usage(phase.option() + " " + name + " does not exist; use one of "
                            + known(phase) + ".");
                }
                provider.missing().ifPresent(reason -> {
                    throw new EngineException(phase.option() + " " + name + " is not available: " + reason + ".");
                });
                return provider;
            }
        }
        String why = name.equals(TORNADO)
                ? NO_TORNADO + ", or use one of "
                : "not available here; use one of ";
        throw EngineException.usage(phase.option() + " " + name + " is " + why + known(phase) + ".");
    }

    /** The preferred available implementation of those that run on the engine's threads. */
    AttentionProvider onThreads() {
        return automatic(Phase.INDEXER)
                .filter(provider -> provider.missing().isEmpty() && provider.devices().isEmpty())
                .findFirst()
                .orElseThrow(Providers::none);
    }

    /** What {@code auto} may take, the preferred first, available or not. */
    private Stream<AttentionProvider> automatic(Phase phase) {
        return ranking.stream()
                .filter(ranked -> ranked.preference() >= 0)
                .map(Ranked::provider)
                .filter(provider -> provider.serves(phase));
    }

    private String known(Phase phase) {
        return Stream.concat(
                        Stream.of(AUTO), all().stream().filter(one -> one.serves(phase)).map(AttentionProvider::name))
                .collect(Collectors.joining(", "));
    }

    private static EngineException none() {
        return new EngineException("no attention implementation is on the class path.");
    }
}
