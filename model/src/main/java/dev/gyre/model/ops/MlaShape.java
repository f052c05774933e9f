package dev.gyre.model.ops;

import dev.gyre.model.config.ModelConfig;

/**
 * The dimensions of latent attention that operations need.
 *
 * @param scale softmax scale
 */
public record MlaShape(int heads, int nope, int rope, int value, int latent, float scale) {
    /** Those of a model. */
    public static MlaShape of(ModelConfig config) {
        ModelConfig.Mla mla = config.mla();
        return new MlaShape(
                mla.heads(), mla.nope(), mla.rope(), mla.value(), mla.kvRank(), config.softmaxScale());
    }
}
