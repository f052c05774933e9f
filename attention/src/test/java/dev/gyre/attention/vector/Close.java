package dev.gyre.attention.vector;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** Comparisons of arrays of floats. */
final class Close {
    private Close() {}

    /** Each value within {@code relative} times the largest magnitude that is expected; finds NaN too. */
    static void assertClose(float[] expected, float[] found, int from, int to, double relative, String where) {
        double largest = 0;
        for (int i = from; i < to; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
        }
        for (int i = from; i < to; i++) {
            if (!(Math.abs((double) expected[i] - found[i]) <= relative * largest)) {
                assertEquals(expected[i], found[i], (float) (relative * largest), where + ", element " + (i - from));
            }
        }
    }

    /** The largest difference relative to the largest magnitude that is expected. */
    static double difference(float[] expected, float[] found) {
        double largest = 0;
        double difference = 0;
        for (int i = 0; i < expected.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            difference = Math.max(difference, Math.abs((double) expected[i] - found[i]));
        }
        return difference / largest;
    }

    /** The same bits: also the signs of zeros. */
    static void assertSameBits(float[] expected, int from, float[] found, int to, int count, String where) {
        for (int i = 0; i < count; i++) {
            if (Float.floatToRawIntBits(expected[from + i]) != Float.floatToRawIntBits(found[to + i])) {
                assertEquals(expected[from + i], found[to + i], where + ", element " + i);
                assertEquals(
                        Float.floatToRawIntBits(expected[from + i]),
                        Float.floatToRawIntBits(found[to + i]),
                        where + ", bits of element " + i);
            }
        }
    }
}
