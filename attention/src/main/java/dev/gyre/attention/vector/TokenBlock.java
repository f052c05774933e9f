package dev.gyre.attention.vector;

import dev.gyre.attention.cache.LatentCache;
import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.attention.simd.Decoding;
import dev.gyre.attention.simd.Lanes;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

import jdk.incubator.vector.FloatVector;

/**
 * Up to 64 cached rows as f32 {@code [64, width]}, for one worker. All heads of a query read the same rows, so they are
 * gathered and decoded once. (f32 rows are copied too: reading them in place, through a memory segment, makes the loop
 * over heads a third slower.)
 */
final class TokenBlock {
    /** Rows in a block; fixed, so that the order of sums depends on nothing else. */
    static final int SIZE = 64;

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

    private float[] values = new float[0];
    private LatentCache cache;
    private int width;
    private int count;

    /** Empties the block. */
    void begin(LatentCache cache) {
        this.cache = cache;
        width = cache.shape().width();
        count = 0;
        if (values.length < SIZE * width) {
            values = new float[Math.multiplyExact(SIZE, width)];
        }
    }

    /** Adds the row in a slot, where there is such a slot. */
    void add(int slot) {
        if (slot < 0 || slot >= cache.slots()) {
            return;
        }
        long source = slot * cache.rowBytes();
        int target = width * count++;
        switch (cache.dtype()) {
            case F32 -> MemorySegment.copy(cache.segment(), FLOAT, source, values, target, width);
            case BF16 -> decodeBf16(source, target, width);
            case FP8_E4M3 -> decodeFp8(source, target);
        }
    }

    private void decodeBf16(long source, int target, int size) {
        MemorySegment from = cache.segment();
        int i = 0;
        for (; i <= size - Lanes.COUNT; i += Lanes.COUNT) {
            Decoding.bf16(from, source + i * (long) Short.BYTES).intoArray(values, target + i);
        }
        for (; i < size; i++) {
            values[target + i] = Bf16.decode(from.get(SHORT, source + i * (long) Short.BYTES));
        }
    }

    private void decodeFp8(long source, int target) {
        MemorySegment from = cache.segment();
        int latent = cache.shape().latent();
        for (int start = 0; start < latent; start += LatentCache.TILE) {
            int end = Math.min(start + LatentCache.TILE, latent);
            float scale = from.get(FLOAT, source + latent + start / LatentCache.TILE * (long) Float.BYTES);
            int i = start;
            if (scale < Decoding.FP8_SCALE_LIMIT) {
                FloatVector factor = FloatVector.broadcast(Lanes.FLOATS, scale * Decoding.FP8_FACTOR);
                for (; i <= end - Lanes.BYTES.length(); i += Lanes.COUNT) {
                    Decoding.fp8(from, source + i).mul(factor).intoArray(values, target + i);
                }
            }
            for (; i < end; i++) {
                values[target + i] = Fp8E4M3.decode(from.get(ValueLayout.JAVA_BYTE, source + i)) * scale;
            }
        }
        int rope = cache.shape().rope();
        decodeBf16(source + cache.rowBytes() - rope * (long) Short.BYTES, target + latent, rope);
    }

    /** Rows in the block. */
    int count() {
        return count;
    }

    /** The rows, {@code [count, width]}. */
    float[] values() {
        return values;
    }
}
