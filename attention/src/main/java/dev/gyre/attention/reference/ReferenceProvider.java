package dev.gyre.attention.reference;

import dev.gyre.attention.AttentionMass;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;
import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Providers;
import dev.gyre.attention.backend.Resources;

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
    public IndexScorer indexScorer(Resources resources) {
        return new ReferenceIndexScorer(resources.pool());
    }

    @Override
    public TopK topK(Resources resources) {
        return new ReferenceTopK(resources.pool());
    }

    @Override
    public LatentAttention latentAttention(Resources resources) {
        return new ReferenceLatentAttention(resources.pool());
    }

    @Override
    public AttentionMass attentionMass(Resources resources) {
        return new ReferenceAttentionMass(resources.pool());
    }
}
