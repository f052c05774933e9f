package dev.gyre.model.ops;

import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.config.ModelConfig;

import java.util.List;

/**
 * A mixture of experts.
 *
 * @param routing how experts are chosen
 * @param gate router, {@code [experts, hidden]}
 * @param bias e_score_correction_bias, {@code [experts]}: counts for the choice, not for the weights
 * @param experts routed experts
 * @param shared the expert that serves every token; null where there is none
 */
public record MoeWeights(
        ModelConfig.Moe routing, Weight gate, Weight bias, List<MlpWeights> experts, MlpWeights shared) {}
