package dev.gyre.attention.numeric;

/** bfloat16: the upper half of an IEEE binary32. */
public final class Bf16 {
    private Bf16() {}

    /** The value of the sixteen bits; exact. */
    public static float decode(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /** The nearest bfloat16, ties to even; overflow gives infinity, NaN stays NaN. */
    public static short encode(float value) {
        int bits = Float.floatToRawIntBits(value);
        if ((bits & 0x7fff_ffff) > 0x7f80_0000) {
            return (short) ((bits >>> 16) | 0x0040); // keep it a NaN: rounding could carry into infinity
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }
}
