package dev.gyre.benchmarks.gpu;

import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.SplittableRandom;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/** Random inputs, the same in every run. */
final class Inputs {
    private static final int STRETCH = 1 << 16;

    private Inputs() {}

    /** Fills an array with a function of random bits. */
    static void fill(IntArray array, IntUnaryOperator value) {
        IntStream.range(0, Math.ceilDiv(array.getSize(), STRETCH)).parallel().forEach(block -> {
            int end = Math.min(array.getSize(), (block + 1) * STRETCH);
            SplittableRandom random = new SplittableRandom(block * 31L + array.getSize());
            for (int i = block * STRETCH; i < end; i++) {
                array.set(i, value.applyAsInt(random.nextInt()));
            }
        });
    }

    /** Normally distributed numbers. */
    static float[] normal(int count, long seed) {
        float[] values = new float[count];
        IntStream.range(0, Math.ceilDiv(count, STRETCH)).parallel().forEach(block -> {
            SplittableRandom random = new SplittableRandom(seed * 1_000_003 + block);
            for (int i = block * STRETCH; i < Math.min(count, (block + 1) * STRETCH); i++) {
                values[i] = (float) random.nextGaussian();
            }
        });
        return values;
    }
}
