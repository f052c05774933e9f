package dev.gyre.tornado.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.numeric.Bf16;
import org.junit.jupiter.api.Test;

/** The bits of a power of two, which the weights of {@link MmaMlaKernels} are made of, in plain Java. */
class MmaWeightTest {
    private static float weight(float x) {
        return Bf16.decode((short) MmaMlaKernels.weight(x));
    }

    @Test
    void powersOfTwoAreRight() {
        for (int exponent = 0; exponent > -127; exponent--) {
            assertEquals(Math.scalb(1f, exponent), weight(exponent - 0.5f));
        }
    }

    /** To the nearest bf16, or so near to the middle of two that the polynomial's 0.02 of a step decide. */
    @Test
    void allElseIsRounded() {
        for (float x = -0.5f; x > -100; x -= 0.0137f) {
            double exact = Math.pow(2, x + 0.5);
            double step = Math.scalb(1.0, Math.getExponent(exact) - 7);
            assertTrue(Math.abs(weight(x) - exact) <= 0.53 * step, x + ": " + weight(x) + " for " + exact);
        }
    }

    @Test
    void whatIsTooSmallIsNothing() {
        for (float x : new float[] {-128, -1000.3f, -1e9f, -1e30f, Float.NEGATIVE_INFINITY}) {
            assertEquals(0, MmaMlaKernels.weight(x), "of " + x);
        }
    }
}
