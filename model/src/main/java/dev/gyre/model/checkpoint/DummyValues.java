package dev.gyre.model.checkpoint;

import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * The random elements of one weight. They are a function of the tensor's name and of an element's number alone, so any
 * part of a weight can be made by itself, on any thread: number n is hashed with the mixing function of SplitMix64
 * (Steele, Lea and Flood 2014), 64 bits for four elements or, in FP8, eight.
 *
 * <p>A matrix has elements of mean 0 and variance 1 / columns, so that what it makes of a normed vector is of the size
 * of 1. Gains of norms are 1 and biases 0.
 */
final class DummyValues {
    private static final ValueLayout.OfLong LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final long SEED = 0x5EED_0F_60_5EEDL;
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;
    /** FP8 codes without the upper bit of their exponent: none is NaN, and none is above 1.875. */
    private static final long CODES = 0xBFBFBFBFBFBFBFBFL;
    /** Root of the mean square of such codes. */
    private static final double CODE_SIZE = codeSize();
    /** Root of the mean square of a number that is even in [-1, 1). */
    private static final double EVEN_SIZE = 1 / Math.sqrt(3);

    private final DType dtype;
    private final long key;
    private final float center;
    /** Of the 65536 values of an element that is not FP8; of FP8's scales the mean. */
    private final float step;

    DummyValues(Weight weight) {
        dtype = weight.dtype();
        key = key(weight.name());
        boolean gain = weight.name().endsWith("norm.weight");
        boolean bias = weight.name().endsWith("bias");
        center = gain ? 1 : 0;
        double size = gain || bias ? 0 : 1 / Math.sqrt(weight.columns());
        step = (float) (dtype == DType.F8_E4M3 ? size / CODE_SIZE : size / EVEN_SIZE / (1 << 15));
    }

    private static double codeSize() {
        double squares = 0;
        for (int code = 0; code < 256; code++) {
            squares += Math.pow(Fp8E4M3.decode((byte) (code & CODES)), 2);
        }
        return Math.sqrt(squares / 256);
    }

    /** FNV-1a of the name. */
    private static long key(String name) {
        long hash = 0xCBF29CE484222325L;
        for (byte letter : name.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ letter & 0xff) * 0x100000001B3L;
        }
        return mix(hash ^ SEED);
    }

    private static long mix(long z) {
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }

    private long bits(long word) {
        return mix(key + word * GOLDEN);
    }

    /** Writes elements [first, first + count), {@code dtype.bytes()} each, to {@code target[at..]}. */
    void write(long first, long count, MemorySegment target, long at) {
        if (dtype == DType.F8_E4M3) {
            writeCodes(first, count, target, at);
            return;
        }
        long word = 0;
        for (long i = 0; i < count; i++) {
            int part = (int) (first + i & 3);
            if (part == 0 || i == 0) {
                word = bits(first + i >> 2);
            }
            float value = center + step * (short) (word >>> 16 * part);
            long to = at + i * dtype.bytes();
            switch (dtype) {
                case F32 -> target.set(ValueLayout.JAVA_FLOAT_UNALIGNED, to, value);
                case F16 -> target.set(ValueLayout.JAVA_SHORT_UNALIGNED, to, Float.floatToFloat16(value));
                case BF16 -> target.set(ValueLayout.JAVA_SHORT_UNALIGNED, to, Bf16.encode(value));
                case F8_E4M3 -> throw new IllegalStateException("codes are written elsewhere");
            }
        }
    }

    private void writeCodes(long first, long count, MemorySegment target, long at) {
        long i = 0;
        while (i < count) {
            long word = bits(first + i >> 3) & CODES;
            int part = (int) (first + i & 7);
            if (part == 0 && count - i >= Long.BYTES) {
                target.set(LONG, at + i, word);
                i += Long.BYTES;
            } else {
                target.set(ValueLayout.JAVA_BYTE, at + i, (byte) (word >>> 8 * part));
                i++;
            }
        }
    }

    /** The scale of a block of FP8: of all within a quarter of their mean, so that no two blocks are alike. */
    float scale(long block) {
        return step * (1 + (short) bits(-1 - block) / (float) (1 << 17));
    }

    /** Writes the first {@code count} scales to {@code target[at..]}. */
    void writeScales(long count, MemorySegment target, long at) {
        for (long block = 0; block < count; block++) {
            target.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + block * Float.BYTES, scale(block));
        }
    }
}
