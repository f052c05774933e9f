package dev.gyre.attention.simd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import jdk.incubator.vector.FloatVector;

class LanesTest {
    @Test
    void expIsWithinFiveInTenMillion() {
        for (int i = 0; i <= 350_000; i++) {
            assertExp(-87f + i * 0.0005f);
        }
        for (float x : new float[] {0f, -0f, -87f, 88f, Math.nextUp(-87f), Float.MIN_VALUE, -Float.MIN_VALUE, 1e-8f}) {
            assertExp(x);
        }
        assertEquals(1f, Lanes.exp(0f));
        assertEquals(1f, Lanes.exp(-0f));
    }

    private static void assertExp(float x) {
        double expected = Math.exp(x);
        double error = Math.abs(Lanes.exp(x) - expected) / expected;
        assertTrue(error < 5e-7, () -> "exp(" + x + ") is " + Lanes.exp(x) + ", not " + expected);
    }

    @Test
    void expIsZeroBelowMinus87() {
        for (float x : new float[] {Math.nextDown(-87f), -88f, -1e4f, -1e30f, -2e30f, -Float.MAX_VALUE,
            Float.NEGATIVE_INFINITY}) {
            assertEquals(0, Float.floatToRawIntBits(Lanes.exp(x)), "exp(" + x + ")");
        }
    }

    /** Every lane, whatever its neighbours are, gives what the number alone gives. */
    @Test
    void expOfOneNumberIsALaneOfTheVectors() {
        float[] inputs = new float[Lanes.COUNT];
        float[] results = new float[Lanes.COUNT];
        for (int i = 0; i < 20_000; i++) {
            for (int lane = 0; lane < Lanes.COUNT; lane++) {
                inputs[lane] = -90f + 178f * ((i * 31 + lane * 7919) % 20_011) / 20_011f;
            }
            Lanes.exp(FloatVector.fromArray(Lanes.FLOATS, inputs, 0)).intoArray(results, 0);
            int lane = i % Lanes.COUNT;
            assertEquals(
                    Float.floatToRawIntBits(Lanes.exp(inputs[lane])), Float.floatToRawIntBits(results[lane]),
                    () -> "exp(" + inputs[lane] + ")");
        }
    }

    /** Powers of two: every order of sums gives the same. */
    @Test
    void sumAddsEveryLaneOnce() {
        float[] powers = new float[Lanes.COUNT];
        for (int lane = 0; lane < Lanes.COUNT; lane++) {
            powers[lane] = 1 << lane;
        }
        assertEquals((1 << Lanes.COUNT) - 1, Lanes.sum(FloatVector.fromArray(Lanes.FLOATS, powers, 0)));
    }
}
