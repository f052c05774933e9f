package dev.gyre.tornado.kernels;

/**
 * Small number formats from the bits of f32 numbers, to the last bit what the host's caches store (Bf16, Fp8E4M3,
 * LatentCache, IndexKeyCache): ties to even, FP8 saturates, NaN stays NaN. All of it is arithmetic of ints: a kernel
 * cannot cast a float's bits within an expression, OpenCL's fast mathematics may divide by multiplying with a
 * reciprocal, and BFloat16's and FP8's own encoders exist on CUDA alone. {@link Decode} is the way back.
 */
public final class Encode {
    private static final int MAGNITUDE = 0x7fffffff;
    private static final int SIGN = 0x80000000;
    private static final int HIDDEN = 0x00800000;
    private static final int FRACTION = 0x007fffff;
    private static final int INFINITY = 0x7f800000;
    private static final int NAN = 0x7fc00000;
    private static final int ONE = 0x3f800000;
    /** 448, the largest FP8 number. */
    private static final int FP8_MAX = 0x43e00000;
    /** 2^-6, the smallest normal FP8 number. */
    private static final int FP8_NORMAL = 0x3c800000;
    /** 1e-4, the least largest magnitude that a scale of an index key is made from. */
    private static final int LEAST_AMAX = 0x38d1b717;

    private Encode() {}

    /** {@code x / 2^drop} for x >= 0 and drop in [1, 30], rounded to the nearest integer, ties to even. */
    private static int rounded(int x, int drop) {
        return (x + (1 << (drop - 1)) - 1 + ((x >> drop) & 1)) >> drop;
    }

    /** The sixteen bits of the nearest bf16. */
    static int bf16(int bits) {
        int magnitude = bits & MAGNITUDE;
        int sign = bits < 0 ? 0x8000 : 0;
        int nearest = rounded(Math.min(magnitude, INFINITY), 16);
        int quiet = (magnitude >> 16) | 0x40; // still a NaN: rounding could carry it into infinity
        return sign | (magnitude > INFINITY ? quiet : nearest);
    }

    /** Two bf16 in an int, the lower half first. */
    static int bf16Pair(int low, int high) {
        return bf16(low) | bf16(high) << 16;
    }

    /** The code of the nearest FP8 E4M3 number; magnitudes above 448 become 448. */
    static int fp8(int bits) {
        int magnitude = bits & MAGNITUDE;
        int finite = Math.min(magnitude, INFINITY);
        int sign = bits < 0 ? 0x80 : 0;
        // exponent and three bits of the fraction; FP8's bias is 7, f32's 127
        int normal = rounded(finite, 20) - ((127 - 7) << 3);
        // below 2^-6 a multiple of 2^-9: the fraction and its hidden bit are in units of 2^(exponent - 150); 25 bits
        // are more than all of them
        int drop = Math.max(1, Math.min(150 - 9 - (finite >> 23), 25));
        int subnormal = rounded((finite & FRACTION) | HIDDEN, drop);
        int code = Math.min(finite < FP8_NORMAL ? subnormal : normal, 0x7e);
        return sign | (magnitude > INFINITY ? 0x7f : code);
    }

    /** How far a fraction must be moved to the left until it has its hidden bit. (Of zero: 31.) */
    private static int missing(int fraction) {
        int shift = 0;
        for (int step = 16; step > 0; step = step / 2) {
            shift += (fraction << shift) < (1 << (24 - step)) ? step : 0;
        }
        return shift;
    }

    /**
     * The bits of {@code a / b} as IEEE 754 rounds it, for b > 0; not for b = 0, where an int division may end the
     * process. (Of infinite and infinite the NaN has a's sign.)
     */
    static int quotient(int a, int b) {
        int x = a & MAGNITUDE;
        // both as fraction * 2^(exponent - 150), the fractions shifted until they have 24 bits
        int xFraction = (x & FRACTION) | (x < HIDDEN ? 0 : HIDDEN);
        int bFraction = (b & FRACTION) | (b < HIDDEN ? 0 : HIDDEN);
        int xShift = missing(xFraction);
        int bShift = missing(bFraction);
        long divisor = (long) bFraction << bShift;
        long dividend = (long) xFraction << (27 + xShift);
        long whole = dividend / divisor; // 28 bits, or 27 where a's fraction is below b's
        int rest = whole * divisor < dividend ? 1 : 0;
        int digits = (int) whole | rest; // the last bit also stands for all that follow
        int below = digits < (1 << 27) ? 1 : 0;
        int exponent = Math.max(x >> 23, 1) - xShift - Math.max(b >> 23, 1) + bShift + 127 - below;
        // of 28 or 27 bits 24 are left, and fewer below 2^-126; the hidden bit counts as one in the exponent
        int drop = Math.min(4 - below + Math.max(1 - exponent, 0), 29);
        int number = ((Math.max(exponent, 1) - 1) << 23) + rounded(digits, drop);
        int finite = exponent > 254 ? INFINITY : number;
        int magnitude = x == 0 ? 0 : x == INFINITY ? INFINITY : finite;
        int limited = b == INFINITY ? 0 : magnitude;
        int undefined = x > INFINITY ? 1 : 0;
        undefined += x == INFINITY ? b == INFINITY ? 1 : 0 : 0;
        return (a & SIGN) | (undefined > 0 ? NAN : limited);
    }

    /**
     * The scale of a tile with this largest magnitude. Of latents amax / 448, and 1 where that is 0 or NaN; of
     * index keys {@code 2^ceil(log2(max(amax, 1e-4) / 448))} (ue8m0).
     *
     * @param key 1 for index keys
     */
    static int scale(int amax, int key) {
        int scale = quotient(Math.max(amax, key * LEAST_AMAX), FP8_MAX);
        int power = (Math.min(scale, INFINITY) + FRACTION) & INFINITY; // the next number without a fraction
        int latent = scale == 0 ? ONE : scale > INFINITY ? ONE : scale;
        return key > 0 ? power : latent;
    }
}
