package dev.gyre.attention;

import java.util.Random;

/** Random data that the tests share. */
public final class Randoms {
    private Randoms() {}

    /** Standard normal numbers. */
    public static float[] normal(Random random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }
}
