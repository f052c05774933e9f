package dev.gyre.model.generate;

import dev.gyre.attention.EngineException;
import dev.gyre.model.ops.Candidates;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;

/** Draws the tokens of one text. */
public final class Sampler {
    private final SamplingOptions options;
    private final SplittableRandom random;
    private final Map<Integer, Integer> generated = new HashMap<>();
    private final Set<Integer> seen = new HashSet<>();
    private float[] scratch = new float[0];
    private double[] probabilities = new double[0];
    private long[] order = new long[0];

    /** A sampler for a text that begins with {@code prompt}. */
    public Sampler(SamplingOptions options, int[] prompt) {
        this.options = options;
        random = new SplittableRandom(options.seed());
        if (options.repetitionPenalty() != 1) {
            for (int token : prompt) {
                seen.add(token);
            }
        }
    }

    /**
     * How many of the best tokens are enough to {@linkplain #next(Candidates) draw} what would be drawn from all; 0
     * where all logits are needed.
     */
    public int enough() {
        if (changes()) {
            return 0;
        }
        return options.temperature() == 0 ? 1 : options.topK();
    }

    /** The next token from its candidates, at least {@link #enough} or all that there are. */
    public int next(Candidates best) {
        if (best.count() == 0) {
            throw notFinite();
        }
        int drawn = enough() == 1
                ? greedy(best.logits(), best.at(), best.count())
                : draw(best.logits(), best.at(), best.count());
        return best.tokens()[best.at() + drawn];
    }

    private boolean changes() {
        return options.penalizes() || !options.logitBias().isEmpty();
    }

    private static EngineException notFinite() {
        return new EngineException("the model's logits are not finite; its weights or caches are damaged.");
    }

    /** The next token from logits {@code [at, at + count)}, which are left as they are. */
    public int next(float[] logits, int at, int count) {
        float[] values = logits;
        int from = at;
        if (changes()) {
            values = changed(logits, at, count);
            from = 0;
        }
        if (!Float.isFinite(values[from + greedy(values, from, count)])) {
            throw notFinite();
        }
        int token = options.temperature() == 0 ? greedy(values, from, count) : draw(values, from, count);
        if (options.penalizes()) {
            generated.merge(token, 1, Integer::sum);
            seen.add(token);
        }
        return token;
    }

    /** The position of the highest of {@code logits[at, at + count)}; of equals the lowest. */
    public static int greedy(float[] logits, int at, int count) {
        int best = 0;
        for (int i = 1; i < count; i++) {
            if (logits[at + i] > logits[at + best]) {
                best = i;
            }
        }
        return best;
    }

    private float[] changed(float[] logits, int at, int count) {
        if (scratch.length < count) {
            scratch = new float[count];
        }
        System.arraycopy(logits, at, scratch, 0, count);
        options.logitBias().forEach((token, bias) -> {
            if (token >= 0 && token < count) {
                scratch[token] += bias.floatValue();
            }
        });
        seen.forEach(token -> {
            double value = scratch[token];
            double factor = options.repetitionPenalty();
            scratch[token] = (float) (value > 0 ? value / factor : value * factor);
        });
        generated.forEach((token, times) ->
                scratch[token] -= (float) (options.frequencyPenalty() * times + options.presencePenalty()));
        return scratch;
    }

    private int draw(float[] logits, int at, int count) {
        if (probabilities.length < count) {
            probabilities = new double[count];
            order = new long[count];
        }
        double max = logits[at + greedy(logits, at, count)];
        for (int i = 0; i < count; i++) {
            probabilities[i] = Math.exp((logits[at + i] - max) / options.temperature()); // the best is 1
        }
        int kept = keep(logits, at, count);
        double point = random.nextDouble() * sum(kept);
        for (int i = 0; i < kept; i++) {
            point -= probabilities[(int) order[i]];
            if (point < 0) {
                return (int) order[i];
            }
        }
        return (int) order[0]; // rounding ate the rest
    }

    /** An int that is greater for a greater number; both zeros have the same. */
    private static int ascending(float value) {
        int bits = Float.floatToRawIntBits(value + 0f);
        return bits ^ bits >> 31 & 0x7fffffff;
    }

    private double sum(int kept) {
        double sum = 0;
        for (int i = 0; i < kept; i++) {
            sum += probabilities[(int) order[i]];
        }
        return sum;
    }

    /** Puts the candidates into {@link #order} (low 32 bits: token), likeliest first where that matters. */
    private int keep(float[] logits, int at, int count) {
        boolean sorted = options.topK() > 0 || options.topP() < 1;
        double all = 0;
        for (int i = 0; i < count; i++) {
            all += probabilities[i];
        }
        // tokens below this come to less than the nucleus leaves out, even all of them: they need no sorting
        double least = options.topK() > 0 ? 0 : (1 - options.topP()) * all / count;
        int kept = 0;
        for (int i = 0; i < count; i++) {
            double probability = probabilities[i];
            if (probability > 0 && probability >= least && (sorted || probability >= options.minP())) {
                // the complement puts the likeliest first, ties by lower id
                order[kept++] = (long) ~ascending(logits[at + i]) << 32 | i;
            }
        }
        if (!sorted) {
            return kept;
        }
        Arrays.sort(order, 0, kept);
        if (options.topK() > 0) {
            kept = Math.min(kept, options.topK());
        }
        double nucleus = options.topP() * (options.topK() > 0 ? sum(kept) : all);
        double sum = 0;
        for (int i = 0; i < kept && options.topP() < 1; i++) {
            sum += probabilities[(int) order[i]];
            if (sum >= nucleus) {
                kept = i + 1;
            }
        }
        while (kept > 1 && probabilities[(int) order[kept - 1]] < options.minP()) {
            kept--;
        }
        return kept;
    }
}
