package dev.gyre.model.arch;

import dev.gyre.model.checkpoint.WeightSource;
import dev.gyre.model.config.Family;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.layers.Decoder;
import dev.gyre.model.ops.Ops;

/**
 * A family of models.
 *
 * @param name as in {@code architectures} of config.json
 * @param family what its models have in common beside their config.json
 * @param factory builds the decoder from its weights
 */
public record Architecture(String name, Family family, Factory factory) {
    /** Builds a decoder. */
    @FunctionalInterface
    public interface Factory {
        /** The decoder of that shape, its weights taken from the source. */
        Decoder create(ModelConfig config, WeightSource source, Ops ops);
    }
}
