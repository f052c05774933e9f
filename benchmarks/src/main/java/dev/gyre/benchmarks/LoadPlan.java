package dev.gyre.benchmarks;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;

/** What a load sends and when. The same seed gives the same plan. */
final class LoadPlan {
    private LoadPlan() {}

    /**
     * A prompt and how many tokens are to come after it.
     *
     * @param prompt token ids
     */
    record Request(int[] prompt, int outputTokens) {}

    /** Prompts of groups: all of a group begin with the same system prompt. */
    record Groups(int groups, int perGroup, int systemLength, int questionLength, int outputLength) {}

    /**
     * Prompts of random tokens.
     *
     * @param ratio lengths are drawn evenly from {@code ratio * length} to {@code length}, at least 1; 1 for no spread
     */
    static List<Request> random(
            int count, int inputLength, int outputLength, double ratio, int vocabulary, SplittableRandom random) {
        List<Request> requests = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            int length = length(inputLength, ratio, random);
            requests.add(new Request(tokens(length, vocabulary, random), length(outputLength, ratio, random)));
        }
        return requests;
    }

    private static int length(int most, double ratio, SplittableRandom random) {
        return random.nextInt(Math.max(1, (int) (most * ratio)), most + 1);
    }

    /** Prompts that share their beginnings with others of their group, in random order. */
    static List<Request> sharedPrefix(Groups plan, int vocabulary, SplittableRandom random) {
        List<Request> requests = new ArrayList<>();
        for (int group = 0; group < plan.groups; group++) {
            int[] system = tokens(plan.systemLength, vocabulary, random);
            for (int i = 0; i < plan.perGroup; i++) {
                int[] question = tokens(plan.questionLength, vocabulary, random);
                int[] prompt = new int[system.length + question.length];
                System.arraycopy(system, 0, prompt, 0, system.length);
                System.arraycopy(question, 0, prompt, system.length, question.length);
                requests.add(new Request(prompt, plan.outputLength));
            }
        }
        Collections.shuffle(requests, new Random(random.nextLong()));
        return requests;
    }

    static int[] tokens(int length, int vocabulary, SplittableRandom random) {
        return random.ints(length, 0, vocabulary).toArray();
    }

    /**
     * When requests are sent, in nanoseconds after the start: a Poisson process that begins with a request.
     *
     * @param rate requests per second; infinite for all of them at once
     */
    static long[] arrivals(int count, double rate, SplittableRandom random) {
        long[] times = new long[count];
        double seconds = 0;
        for (int i = 1; i < count && !Double.isInfinite(rate); i++) {
            seconds += random.nextExponential() / rate;
            times[i] = (long) (seconds * 1e9);
        }
        return times;
    }
}
