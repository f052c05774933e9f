package dev.gyre.attention.vector;

import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Providers;

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
    public IndexScorer indexScorer(WorkerPool pool) {
        return new VectorIndexScorer(pool);
    }

    @Override
    public TopK topK(WorkerPool pool) {
        return new VectorTopK(pool);
    }

    @Override
    public LatentAttention latentAttention(WorkerPool pool) {
        return new VectorLatentAttention(pool);
    }
}
