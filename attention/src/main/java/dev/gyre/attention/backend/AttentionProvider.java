package dev.gyre.attention.backend;

import dev.gyre.attention.AttentionMass;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;

import java.util.List;
import java.util.Optional;

/** An implementation of the attention operations, found through {@link java.util.ServiceLoader}. */
public interface AttentionProvider {
    /** The name on the command line. */
    String name();

    /**
     * {@code auto} takes the available provider with the highest preference, and never one with a negative preference.
     * A provider may work its preference out from the machine that it finds; it is asked once, also where it is
     * {@link #missing}.
     */
    int preference();

    /** Empty where the provider can be used; otherwise one clause that says what is missing and how to get it. */
    Optional<String> missing();

    /** Whether the provider implements this part of a step. */
    default boolean serves(Phase phase) {
        return true;
    }

    /**
     * Whether {@link Phase#LINEAR} means all of a decoder, the other phases with it: then it serves either all phases or
     * those outside LINEAR.
     */
    default boolean runsDecoder() {
        return false;
    }

    /** The devices that {@code --device} can name; empty where the provider runs on the engine's threads. */
    default List<Device> devices() {
        return List.of();
    }

    /** Index scoring with these resources. */
    IndexScorer indexScorer(Resources resources);

    /** Top-k selection with these resources. */
    TopK topK(Resources resources);

    /** Latent attention with these resources. */
    LatentAttention latentAttention(Resources resources);

    /** Where attention goes; only asked of a provider that runs on the engine's threads, without {@link #devices}. */
    default AttentionMass attentionMass(Resources resources) {
        throw new UnsupportedOperationException(name() + " runs on devices");
    }
}
