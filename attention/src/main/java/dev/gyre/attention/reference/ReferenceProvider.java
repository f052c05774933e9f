package dev.gyre.attention.reference;

import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Providers;

import java.util.Optional;

/** The implementation {@code reference}: plain Java, present everywhere. */
public final class ReferenceProvider implements AttentionProvider {
    @Override
    public String name() {
        return Providers.REFERENCE;
    }

    @Override
    public int preference() {
        return 0;
    }

    @Override
    public Optional<String> missing() {
        return Optional.empty();
    }

    @Override
    public IndexScorer indexScorer(WorkerPool pool) {
        return new ReferenceIndexScorer(pool);
    }

    @Override
    public TopK topK(WorkerPool pool) {
        return new ReferenceTopK(pool);
    }

    @Override
    public LatentAttention latentAttention(WorkerPool pool) {
        return new ReferenceLatentAttention(pool);
    }
}
