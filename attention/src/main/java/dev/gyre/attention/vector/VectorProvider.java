package dev.gyre.attention.vector;

import dev.gyre.attention.AttentionMass;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;
import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Providers;
import dev.gyre.attention.backend.Resources;

import java.util.Optional;

/** The implementation {@code vector}: present where the JVM was started with the Vector API's module. */
public final class VectorProvider implements AttentionProvider {
    @Override
    public String name() {
        return Providers.VECTOR;
    }

    @Override
    public int preference() {
        return 10;
    }

    @Override
    public Optional<String> missing() {
        return ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent()
                ? Optional.empty()
                : Optional.of("the JVM was started without --add-modules jdk.incubator.vector; add the flag or start "
                        + "with ./engine");
    }

    @Override
    public IndexScorer indexScorer(Resources resources) {
        return new VectorIndexScorer(resources.pool());
    }

    @Override
    public TopK topK(Resources resources) {
        return new VectorTopK(resources.pool());
    }

    @Override
    public LatentAttention latentAttention(Resources resources) {
        return new VectorLatentAttention(resources.pool());
    }

    @Override
    public AttentionMass attentionMass(Resources resources) {
        return new VectorAttentionMass(resources.pool());
    }
}
