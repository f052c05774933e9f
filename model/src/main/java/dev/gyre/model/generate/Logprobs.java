package dev.gyre.model.generate;

import java.util.ArrayList;
import java.util.List;

/**
 * How likely a token was, in natural logarithms of the model's own probabilities: before biases, penalties and
 * temperature.
 *
 * @param top the likeliest tokens, likeliest first
 */
public record Logprobs(int token, double logprob, List<Candidate> top) {
    /** One of the likeliest. */
    public record Candidate(int token, double logprob) {}

    /**
     * @param logits the model's are {@code [at, at + count)}
     * @param wanted how many of the likeliest
     */
    public static Logprobs of(float[] logits, int at, int count, int token, int wanted) {
        double max = logits[at + Sampler.greedy(logits, at, count)];
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += Math.exp(logits[at + i] - max);
        }
        double total = max + Math.log(sum);
        int[] best = new int[Math.min(wanted, count)];
        int found = 0;
        for (int i = 0; i < count; i++) {
            if (found < best.length || best.length > 0 && logits[at + i] > logits[at + best[found - 1]]) {
                int place = found < best.length ? found++ : found - 1;
                while (place > 0 && logits[at + i] > logits[at + best[place - 1]]) {
                    best[place] = best[place - 1];
                    place--;
                }
                best[place] = i;
            }
        }
        List<Candidate> top = new ArrayList<>(found);
        for (int i = 0; i < found; i++) {
            top.add(new Candidate(best[i], logits[at + best[i]] - total));
        }
        return new Logprobs(token, logits[at + token] - total, List.copyOf(top));
    }
}
