package dev.gyre.tornado.kernels;

import dev.gyre.attention.numeric.Fp8E4M3;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Numbers in small formats, decoded by arithmetic that every backend has. */
public final class Decode {
    /** Cached as f32. */
    public static final int F32 = 0;
    /** Cached as bf16, two in an int, the lower half first. */
    public static final int BF16 = 1;
    /** Cached as FP8 E4M3, four in an int, the lowest byte first, with scales. */
    public static final int FP8 = 2;
    /** Values of FP8 that share a scale. */
    public static final int TILE = 128;

    /**
     * Elements before the first of arrays that warps read and write in whole sectors: with the 16 bytes that TornadoVM
     * puts before an array they are 128, so that what is aligned in the array is aligned in memory.
     */
    public static final int LEAD = 28;

    private static final int FP8_CODES = 256;
    private static final int BF16_EXPONENTS = 512;

    private Decode() {}

    /**
     * The table that kernels decode with: 256 values of FP8 codes, then for each of the 512 signs and exponents of bf16
     * what its mantissa (with its hidden bit) is multiplied with.
     */
    public static FloatArray table() {
        FloatArray table = new FloatArray(FP8_CODES + BF16_EXPONENTS);
        float[] fp8 = Fp8E4M3.table();
        for (int i = 0; i < FP8_CODES; i++) {
            table.set(i, fp8[i]);
        }
        for (int i = 0; i < BF16_EXPONENTS; i++) {
            int exponent = Math.max(i & 255, 1);
            float factor = Math.scalb(1f, exponent - 127 - 7);
            table.set(FP8_CODES + i, i < 256 ? factor : -factor);
        }
        return table;
    }

    /** The bf16 with these sixteen bits. (Infinities stay infinite; NaN becomes a number beyond 2^127.) */
    static float bf16(FloatArray table, int bits) {
        int mantissa = bits & 127;
        int hidden = ((bits >> 7) & 255) == 0 ? 0 : 128;
        return table.get(256 + ((bits >> 7) & 511)) * (hidden + mantissa);
    }

    /** The i-th 16-bit number of an array of pairs. */
    static int half(IntArray pairs, int i) {
        return (pairs.get(LEAD + (i >> 1)) >> (16 * (i & 1))) & 0xffff;
    }

    /** The value of the i-th FP8 code, without its scale. */
    static float fp8(FloatArray table, IntArray codes, int i) {
        return table.get((codes.get(LEAD + (i >> 2)) >> (8 * (i & 3))) & 255);
    }

    /** Bytes 0 and 2 of four FP8 codes as f16, times 2^-8 and exact: their seven bits in f16's place. */
    static int evenHalves(int codes) {
        return ((codes << 8) & 0x80008000) | (((codes << 8) & 0x7f007f00) >> 1);
    }

    /** The same of bytes 1 and 3. */
    static int oddHalves(int codes) {
        return (codes & 0x80008000) | ((codes & 0x7f007f00) >> 1);
    }

    /** Ints of a latent row in FP8: the codes of the latent, then the bf16 pairs of the rotary key. */
    public static int fp8RowInts(int latent, int rope) {
        return latent / 4 + rope / 2;
    }

    /** Value d of the latent row in a slot; {@code floats} holds f32 values or FP8's scales. */
    static float latent(
            IntArray bits,
            FloatArray floats,
            FloatArray table,
            int format,
            int latent,
            int rope,
            int slot,
            int d) {
        float value = 0f;
        if (format == F32) {
            value = floats.get(slot * (latent + rope) + d);
        } else if (format == BF16) {
            value = bf16(table, half(bits, slot * (latent + rope) + d));
        } else {
            int row = slot * (latent / 4 + rope / 2);
            if (d < latent) {
                value = fp8(table, bits, row * 4 + d) * floats.get(slot * ((latent + 127) / 128) + d / 128);
            } else {
                value = bf16(table, half(bits, (row + latent / 4) * 2 + d - latent));
            }
        }
        return value;
    }

    /** Value d of the index key in a slot; {@code floats} as above. */
    static float key(
            IntArray bits, FloatArray floats, FloatArray table, int format, int dim, int slot, int d) {
        float value = 0f;
        if (format == F32) {
            value = floats.get(slot * dim + d);
        } else if (format == BF16) {
            value = bf16(table, half(bits, slot * dim + d));
        } else {
            value = fp8(table, bits, slot * dim + d) * floats.get(slot * ((dim + 127) / 128) + d / 128);
        }
        return value;
    }
}
