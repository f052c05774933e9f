package dev.gyre.tornado.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;
import org.junit.jupiter.api.Test;

import java.util.SplittableRandom;

/** The encoders as Java against their twins, to the last bit; AppendRowsTest runs what TornadoVM makes of them. */
class EncodeTest {
    private static void assertBits(int expected, int found, String what, int... operands) {
        if (expected != found) {
            StringBuilder of = new StringBuilder(what);
            for (int operand : operands) {
                of.append(' ').append(Integer.toHexString(operand));
            }
            assertEquals(Integer.toHexString(expected), Integer.toHexString(found), of.toString());
        }
    }

    private static void checkFp8(int bits) {
        assertBits(Fp8E4M3.encode(Float.intBitsToFloat(bits)) & 0xff, Encode.fp8(bits), "fp8", bits);
    }

    @Test
    void bf16OfEveryUpperHalfAroundEveryTie() {
        for (int upper = 0; upper < 1 << 16; upper++) {
            for (int lower : new int[] {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff}) {
                int bits = upper << 16 | lower;
                int expected = Bf16.encode(Float.intBitsToFloat(bits)) & 0xffff;
                assertBits(expected, Encode.bf16(bits), "bf16", bits);
                assertBits(expected | expected << 16, Encode.bf16Pair(bits, bits), "pair", bits);
            }
        }
    }

    @Test
    void fp8AroundEveryCodeAndEveryTie() {
        for (int code = 0; code < 0x7e; code++) {
            float low = Fp8E4M3.decode((byte) code);
            float tie = (low + Fp8E4M3.decode((byte) (code + 1))) / 2;
            for (float centre : new float[] {low, tie, 448f, 464f}) {
                for (int off = -2; off <= 2; off++) {
                    int bits = Float.floatToRawIntBits(centre) + off;
                    checkFp8(bits);
                    checkFp8(bits | 0x80000000);
                }
            }
        }
    }

    @Test
    void fp8OfAnyBits() {
        SplittableRandom random = new SplittableRandom(1);
        for (int i = 0; i < 5_000_000; i++) {
            checkFp8(random.nextInt());
        }
        for (int special : new int[] {0, 1, 0x7f800000, 0x7f800001, 0x7fffffff, 0x007fffff, 0x00800000}) {
            checkFp8(special);
            checkFp8(special | 0x80000000);
        }
    }

    private static void checkQuotient(int a, int b) {
        float quotient = Float.intBitsToFloat(a) / Float.intBitsToFloat(b);
        int found = Encode.quotient(a, b);
        if (Float.isNaN(quotient)) {
            assertTrue(Float.isNaN(Float.intBitsToFloat(found)), "a NaN has many bits");
            assertEquals(a < 0, found < 0, "the sign of a NaN is the dividend's");
        } else {
            assertBits(Float.floatToRawIntBits(quotient), found, "quotient", a, b);
        }
    }

    @Test
    void quotientsOfAnyBits() {
        SplittableRandom random = new SplittableRandom(2);
        for (int i = 0; i < 5_000_000; i++) {
            int a = random.nextInt();
            int b = random.nextInt(1, 0x7f800001);
            checkQuotient(a, b);
            checkQuotient(a & 0x80ffffff, b & 0x00ffffff | 1); // subnormal or nearly so
            int near = (b & 0x007fffff) | (Math.clamp(a >> 23 & 255, 8, 246) + random.nextInt(-7, 8)) << 23;
            checkQuotient(a, near); // in the range of FP8's codes
        }
        for (int a : new int[] {0, 1, 0x00800000, 0x3f800000, 0x7f7fffff, 0x7f800000, 0x7fc00000}) {
            for (int b : new int[] {1, 0x007fffff, 0x00800000, 0x3f800000, 0x7f7fffff, 0x7f800000}) {
                checkQuotient(a, b);
                checkQuotient(a | 0x80000000, b);
            }
        }
    }
}
