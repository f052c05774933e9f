package dev.gyre.attention.backend;

import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;

import java.util.Optional;

/** An implementation of the attention operations, found through {@link java.util.ServiceLoader}. */
public interface AttentionProvider {
    /** The name on the command line. */
    String name();

    /** {@code auto} takes the available provider with the highest preference. */
    int preference();

    /** Empty where the provider can be used; otherwise one clause that says what is missing and how to get it. */
    Optional<String> missing();

    /** Index scoring on these threads. */
    IndexScorer indexScorer(WorkerPool pool);

    /** Top-k selection on these threads. */
    TopK topK(WorkerPool pool);

    /** Latent attention on these threads. */
    LatentAttention latentAttention(WorkerPool pool);
}
