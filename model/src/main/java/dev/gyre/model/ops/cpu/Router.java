package dev.gyre.model.ops.cpu;

import dev.gyre.model.config.ModelConfig;

import java.util.Arrays;

/**
 * DeepSeek-V3's group-limited routing (noaux_tc) for one token. A score is the sigmoid of the router's logit; experts
 * are chosen by score plus correction bias, from the groups whose best two choices sum highest; their weights are the
 * plain scores. Of equals the lower number wins.
 */
final class Router {
    private final ModelConfig.Moe moe;
    private final float[] bias;
    private final double[] score;
    private final double[] choice;
    private final double[] groupScore;
    private final boolean[] open;

    Router(ModelConfig.Moe moe, float[] bias) {
        this.moe = moe;
        this.bias = bias;
        score = new double[moe.experts()];
        choice = new double[moe.experts()];
        groupScore = new double[moe.groups()];
        open = new boolean[moe.groups()];
    }

    /**
     * Routes one token.
     *
     * @param logits the router's output at {@code [at, at + experts)}
     * @param weights {@code [experts]}: the weight of each chosen expert, 0 for the others
     */
    void route(float[] logits, int at, float[] weights) {
        int groupSize = moe.experts() / moe.groups();
        for (int e = 0; e < moe.experts(); e++) {
            score[e] = 1 / (1 + Math.exp(-logits[at + e]));
            choice[e] = score[e] + bias[e];
        }
        for (int g = 0; g < moe.groups(); g++) {
            groupScore[g] = sumOfBestTwo(g * groupSize, (g + 1) * groupSize);
        }
        Arrays.fill(open, false);
        for (int i = 0; i < moe.groupsPerToken(); i++) {
            int best = -1;
            for (int g = 0; g < moe.groups(); g++) {
                if (!open[g] && (best < 0 || groupScore[g] > groupScore[best])) {
                    best = g;
                }
            }
            open[best] = true;
        }
        Arrays.fill(weights, 0);
        double total = 0;
        for (int i = 0; i < moe.perToken(); i++) {
            int best = -1;
            for (int e = 0; e < moe.experts(); e++) {
                if (open[e / groupSize] && weights[e] == 0 && (best < 0 || choice[e] > choice[best])) {
                    best = e;
                }
            }
            weights[best] = (float) Math.max(score[best], Float.MIN_NORMAL); // a chosen weight is never 0
            total += score[best];
        }
        double factor = moe.scale() / (moe.normalize() ? total + 1e-20 : 1);
        for (int e = 0; e < moe.experts(); e++) {
            weights[e] = (float) (weights[e] * factor);
        }
    }

    private double sumOfBestTwo(int from, int to) {
        double first = Double.NEGATIVE_INFINITY;
        double second = Double.NEGATIVE_INFINITY;
        for (int e = from; e < to; e++) {
            if (choice[e] > first) {
                second = first;
                first = choice[e];
            } else if (choice[e] > second) {
                second = choice[e];
            }
        }
        return to - from == 1 ? first : first + second;
    }
}
