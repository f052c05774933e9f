package dev.gyre.model.ops;

import dev.gyre.model.checkpoint.Weight;

/**
 * A gated MLP: {@code down(silu(gate x) * up x)}.
 *
 * @param gate {@code [inner, hidden]}
 * @param up {@code [inner, hidden]}
 * @param down {@code [hidden, inner]}
 */
public record MlpWeights(Weight gate, Weight up, Weight down) {
    /** Inner width. */
    public int inner() {
        return gate.rows();
    }
}
