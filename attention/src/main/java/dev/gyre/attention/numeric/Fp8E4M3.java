package dev.gyre.attention.numeric;

/**
 * FP8 E4M3 in the variant that checkpoints and caches use (OCP 8-bit floating point, "E4M3FN"): bias 7, no infinities,
 * {@code S.1111.111} is NaN, the largest value is 448, the smallest subnormal 2^-9.
 */
public final class Fp8E4M3 {
    /** The largest finite value. */
    public static final float MAX = 448f;

    private static final float[] VALUES = values();

    private Fp8E4M3() {}

    /** The value of a byte; exact. */
    public static float decode(byte bits) {
        return VALUES[bits & 0xff];
    }

    /** A fresh copy of the 256 values, indexed by the unsigned byte, for kernels that keep a table of their own. */
    public static float[] table() {
        return VALUES.clone();
    }

    /** The nearest value, ties to even; magnitudes above 448 and infinities saturate, NaN stays NaN. */
    public static byte encode(float value) {
        int bits = Float.floatToRawIntBits(value);
        int sign = (bits >>> 24) & 0x80;
        float magnitude = Math.abs(value);
        if (Float.isNaN(value)) {
            return (byte) (sign | 0x7f);
        }
        if (magnitude >= MAX) {
            return (byte) (sign | 0x7e);
        }
        if (magnitude < 0x1p-6f) { // subnormal: a multiple of 2^-9, and 8 of them are the first normal number
            return (byte) (sign | (int) Math.rint(magnitude * 0x1p9f));
        }
        int rounded = (bits & 0x7fff_ffff) + 0x7_ffff + ((bits >>> 20) & 1); // ties to even at the third mantissa bit
        int code = (rounded >>> 20) - ((127 - 7) << 3);
        return (byte) (sign | Math.min(code, 0x7e));
    }

    private static float[] values() {
        float[] values = new float[256];
        for (int code = 0; code < 256; code++) {
            int exponent = (code >> 3) & 15;
            int mantissa = code & 7;
            float magnitude;
            if (exponent == 15 && mantissa == 7) {
                magnitude = Float.NaN;
            } else if (exponent == 0) {
                magnitude = mantissa * 0x1p-9f;
            } else {
                magnitude = Math.scalb(1f + mantissa / 8f, exponent - 7);
            }
            values[code] = code < 128 ? magnitude : -magnitude;
        }
        return values;
    }
}
