package dev.gyre.benchmarks;

import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;

import java.util.SplittableRandom;

/** Inputs and checks that the benchmarks share. */
final class Inputs {
    private Inputs() {}

    /** Threads that an operation may use; the report names them. */
    static int threads() {
        return Runtime.getRuntime().availableProcessors();
    }

    static AttentionProvider provider(String name) {
        return Providers.load().choose(Phase.DECODE, name);
    }

    static float[] normal(int count, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /** A timing is void where the answer is wrong: fails beyond {@code tolerance} of the largest expected magnitude. */
    static void check(float[] expected, float[] found, double tolerance) {
        double largest = 0;
        double worst = 0;
        for (int i = 0; i < expected.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            double error = Math.abs(expected[i] - found[i]);
            worst = error <= worst ? worst : error; // a NaN becomes the worst
        }
        if (!(worst <= tolerance * largest)) {
            throw new IllegalStateException("wrong answer: off by " + worst + " of " + largest);
        }
    }
}
