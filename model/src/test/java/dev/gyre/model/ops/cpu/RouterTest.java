package dev.gyre.model.ops.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.gyre.model.config.ModelConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Group-limited routing against a reading of its definition with sorted lists. */
class RouterTest {
    private static ModelConfig.Moe moe(int experts, int perToken, int groups, int groupsPerToken, boolean normalize) {
        return new ModelConfig.Moe(0, 1, experts, perToken, groups, groupsPerToken, 1, 0, normalize, 2.5f);
    }

    private static float[] route(ModelConfig.Moe moe, float[] bias, float[] logits) {
        float[] padded = new float[logits.length + 3];
        System.arraycopy(logits, 0, padded, 3, logits.length);
        float[] weights = new float[moe.experts()];
        Arrays.fill(weights, 99);
        new Router(moe, bias).route(padded, 3, weights);
        return weights;
    }

    private static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }

    /** Of equals the lower number comes first, since sorting is stable. */
    private static List<Integer> best(IntStream candidates, int count, Comparator<Integer> ascending) {
        return candidates.boxed().sorted(ascending.reversed()).limit(count).toList();
    }

    private static double[] naive(ModelConfig.Moe moe, float[] bias, float[] logits) {
        int size = moe.experts() / moe.groups();
        double[] choice = IntStream.range(0, logits.length).mapToDouble(e -> sigmoid(logits[e]) + bias[e]).toArray();
        Comparator<Integer> byChoice = Comparator.comparingDouble(e -> choice[e]);
        double[] group = IntStream.range(0, moe.groups())
                .mapToDouble(g -> best(IntStream.range(g * size, (g + 1) * size), 2, byChoice).stream()
                        .mapToDouble(e -> choice[e]).sum())
                .toArray();
        List<Integer> open = best(
                IntStream.range(0, moe.groups()), moe.groupsPerToken(), Comparator.comparingDouble(g -> group[g]));
        List<Integer> chosen = best(
                IntStream.range(0, moe.experts()).filter(e -> open.contains(e / size)), moe.perToken(), byChoice);
        double total = moe.normalize() ? chosen.stream().mapToDouble(e -> sigmoid(logits[e])).sum() : 1;
        double[] weights = new double[moe.experts()];
        chosen.forEach(e -> weights[e] = sigmoid(logits[e]) / total * moe.scale());
        return weights;
    }

    @ParameterizedTest
    @CsvSource({
        "256, 8, 8, 4, true", "256, 8, 8, 4, false", "8, 2, 4, 2, true", "5, 2, 1, 1, false", "4, 1, 4, 2, true",
        "6, 6, 3, 3, true", "12, 3, 2, 1, true", "7, 7, 7, 7, false", "1, 1, 1, 1, true",
    })
    void randomLogits(int experts, int perToken, int groups, int groupsPerToken, boolean normalize) {
        ModelConfig.Moe moe = moe(experts, perToken, groups, groupsPerToken, normalize);
        Random random = new Random(experts);
        for (int trial = 0; trial < 300; trial++) {
            float[] logits = new float[experts];
            float[] bias = new float[experts];
            for (int e = 0; e < experts; e++) {
                // coarse numbers in every other trial, for ties
                logits[e] = trial % 2 == 0 ? (float) random.nextGaussian() * 3 : random.nextInt(3);
                bias[e] = trial % 2 == 0 ? (float) random.nextGaussian() : random.nextInt(2) - 0.5f;
            }
            float[] found = route(moe, bias, logits);
            double[] expected = naive(moe, bias, logits);
            for (int e = 0; e < experts; e++) {
                assertEquals(expected[e], found[e], 1e-6, "trial " + trial + ", expert " + e);
            }
        }
    }

    @Test
    void equalsGoToTheLowerNumber() {
        float[] weights = route(moe(8, 3, 4, 2, true), new float[8], new float[8]);
        float third = 2.5f / 3;
        assertArrayEquals(new float[] {third, third, third, 0, 0, 0, 0, 0}, weights, 1e-6f);
    }

    /** All choices of the open group are negative: the experts of closed groups, at -inf, are not better. */
    @Test
    void negativeChoicesStayWithinOpenGroups() {
        float[] bias = {-5, -5.1f, -5.2f, -4.9f, -900, -900};
        float[] weights = route(moe(6, 3, 2, 1, true), bias, new float[6]);
        float third = 2.5f / 3;
        assertArrayEquals(new float[] {third, third, third, 0, 0, 0}, weights, 1e-6f);
    }

    /** The bias decides who is chosen and has no part in the weight. */
    @Test
    void biasIsNotInTheWeight() {
        float[] weights = route(moe(4, 1, 1, 1, false), new float[] {0, 0, 9, 0}, new float[] {4, 4, -1, 4});
        assertArrayEquals(new float[] {0, 0, (float) (2.5 * sigmoid(-1)), 0}, weights, 1e-6f);
    }

    /** Scores that underflow to zero still give as many experts as are due, none of them twice. */
    @Test
    void scoresOfZero() {
        float[] logits = new float[4];
        Arrays.fill(logits, -2000);
        float[] weights = route(moe(4, 4, 1, 1, true), new float[4], logits);
        for (float weight : weights) {
            assertEquals(0, weight, 1e-12f);
        }
    }
}
