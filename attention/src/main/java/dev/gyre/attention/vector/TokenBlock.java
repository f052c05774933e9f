package dev.gyre.attention.vector;

import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.LatentCache;
import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

import jdk.incubator.vector.FloatVector;

/**
 * Up to 64 cached rows as f32, for one worker: in place where the cache is f32, otherwise decoded into memory of the
 * block's own. All heads of a query read the same rows, so they are decoded once.
 */
final class TokenBlock {
    /** Rows in a block; fixed, so that the order of sums depends on nothing else. */
    static final int SIZE = 64;

    private final long[] offsets = new long[SIZE];
    private MemorySegment memory;
    private MemorySegment segment;
    private int count;

    /** Empties the block. */
    void begin(LatentCache cache) {
        count = 0;
        if (cache.dtype() == CacheDtype.F32) {
            segment = cache.segment();
            return;
        }
        // 128-bit machines read FP8 eight at a time and use four: room behind the last row is not needed for f32
        long bytes = (long) SIZE * cache.shape().width() * Float.BYTES;
        if (memory == null || memory.byteSize() < bytes) {
            memory = Arena.ofAuto().allocate(bytes, 64);
        }
        segment = memory;
    }

    /** Adds the row in a slot, where there is such a slot. */
    void add(LatentCache cache, int slot) {
        if (slot < 0 || slot >= cache.slots()) {
            return;
        }
        long source = slot * cache.rowBytes();
        if (cache.dtype() == CacheDtype.F32) {
            offsets[count++] = source;
            return;
        }
        long target = (long) count * cache.shape().width() * Float.BYTES;
        offsets[count++] = target;
        if (cache.dtype() == CacheDtype.BF16) {
            decodeBf16(cache.segment(), source, target, cache.shape().width());
        } else {
            decodeFp8(cache, source, target);
        }
    }

    private void decodeBf16(MemorySegment from, long source, long target, int values) {
        int i = 0;
        for (; i <= values - Lanes.COUNT; i += Lanes.COUNT) {
            Decoding.bf16(from, source + i * (long) Short.BYTES)
                    .intoMemorySegment(memory, target + i * (long) Float.BYTES, Lanes.ORDER);
        }
        for (; i < values; i++) {
            float value = Bf16.decode(
                    from.get(ValueLayout.JAVA_SHORT_UNALIGNED, source + i * (long) Short.BYTES));
            memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, target + i * (long) Float.BYTES, value);
        }
    }

    private void decodeFp8(LatentCache cache, long source, long target) {
        int latent = cache.shape().latent();
        MemorySegment from = cache.segment();
        for (int start = 0; start < latent; start += LatentCache.TILE) {
            int end = Math.min(start + LatentCache.TILE, latent);
            float scale = from.get(
                    ValueLayout.JAVA_FLOAT_UNALIGNED, source + latent + start / LatentCache.TILE * (long) Float.BYTES);
            int i = start;
            if (scale < Decoding.FP8_SCALE_LIMIT) {
                FloatVector factor = FloatVector.broadcast(Lanes.FLOATS, scale * Decoding.FP8_FACTOR);
                for (; i <= end - Lanes.BYTES.length(); i += Lanes.COUNT) {
                    Decoding.fp8(from, source + i)
                            .mul(factor)
                            .intoMemorySegment(memory, target + i * (long) Float.BYTES, Lanes.ORDER);
                }
            }
            for (; i < end; i++) {
                float value = Fp8E4M3.decode(from.get(ValueLayout.JAVA_BYTE, source + i));
                memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, target + i * (long) Float.BYTES, value * scale);
            }
        }
        int rope = cache.shape().rope();
        long ropeSource = source + cache.rowBytes() - rope * (long) Short.BYTES;
        decodeBf16(from, ropeSource, target + latent * (long) Float.BYTES, rope);
    }

    /** Rows in the block. */
    int count() {
        return count;
    }

    /** Where the rows lie. */
    MemorySegment segment() {
        return segment;
    }

    /** Where a row begins in {@link #segment()}. */
    long offset(int row) {
        return offsets[row];
    }
}
