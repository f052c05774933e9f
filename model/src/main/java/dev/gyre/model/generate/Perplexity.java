package dev.gyre.model.generate;

import dev.gyre.attention.EngineException;
import dev.gyre.model.Model;
import dev.gyre.model.ops.StepObserver;

import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * How well a model predicts a text.
 *
 * @param tokens how many tokens were scored
 * @param nll the sum of their negative log-likelihoods, in nats
 */
public record Perplexity(int tokens, double nll) {
    /** {@code exp(nll / tokens)}. */
    public double perplexity() {
        return Math.exp(nll / tokens);
    }

    /**
     * Measures a text: windows of {@code context} tokens, each run on its own, the first token of each not scored.
     *
     * @param progress told after each window how many tokens have been run
     */
    public static Perplexity measure(Model model, int[] text, int context, IntConsumer progress) {
        return measure(model, text, context, progress, StepObserver.NONE);
    }

    /** The same with someone who watches. */
    public static Perplexity measure(
            Model model, int[] text, int context, IntConsumer progress, StepObserver observer) {
        if (context < 2) {
            throw EngineException.usage("--context must be at least 2, not " + context + ".");
        }
        if (text.length < 2) {
            throw new EngineException("the text has " + text.length + " token(s); at least 2 are needed to score one.");
        }
        int vocabulary = model.config().vocabulary();
        int[] scored = {0};
        double[] nll = {0};
        try (ModelRunner runner = model.runner(1, Math.min(context, text.length))) {
            for (int start = 0; start < text.length; start += context) {
                int[] window = Arrays.copyOfRange(text, start, Math.min(start + context, text.length));
                Sequence sequence = runner.start();
                runner.run(
                        List.of(sequence),
                        new int[][] {window},
                        (s, position, last) -> position < last,
                        (s, position, logits, at) -> {
                            nll[0] -= logLikelihood(logits, at, vocabulary, window[position + 1]);
                            scored[0]++;
                        },
                        observer);
                runner.end(sequence);
                progress.accept(start + window.length);
            }
        }
        return new Perplexity(scored[0], nll[0]);
    }

    private static double logLikelihood(float[] logits, int at, int count, int token) {
        double max = logits[at + Sampler.greedy(logits, at, count)];
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += Math.exp(logits[at + i] - max);
        }
        return logits[at + token] - max - Math.log(sum);
    }
}
