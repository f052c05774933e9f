package dev.gyre.model.arch;

import dev.gyre.model.checkpoint.Checkpoint;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.layers.Decoder;
import dev.gyre.model.ops.Ops;

/**
 * A family of models.
 *
 * @param name as in {@code architectures} of config.json
 * @param sparse whether its models have an indexer when {@code index_topk} is present
 * @param factory builds the decoder from its weights
 */
public record Architecture(String name, boolean sparse, Factory factory) {
    /** Builds a decoder. */
    @FunctionalInterface
    public interface Factory {
        /** The decoder of that shape, its weights taken from the checkpoint. */
        Decoder create(ModelConfig config, Checkpoint checkpoint, Ops ops);
    }
}
