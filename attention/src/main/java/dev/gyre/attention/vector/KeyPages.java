package dev.gyre.attention.vector;

import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.attention.simd.Decoding;
import dev.gyre.attention.simd.Lanes;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Decodes pages of index keys to {@code [dim, 64]} floats. */
final class KeyPages {
    private static final float[] FP8 = Fp8E4M3.table();
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private KeyPages() {}

    static void decode(IndexKeyCache keys, int page, float[] target) {
        MemorySegment segment = keys.segment();
        int values = keys.dim() * PageTable.PAGE;
        long at = keys.pageOffset(page);
        switch (keys.dtype()) {
            case F32 -> MemorySegment.copy(segment, ValueLayout.JAVA_FLOAT_UNALIGNED, at, target, 0, values);
            case BF16 -> {
                // a page has a multiple of 64 values, so whole vectors
                for (int i = 0; i < values; i += Lanes.COUNT) {
                    Decoding.bf16(segment, at + i * (long) Short.BYTES).intoArray(target, i);
                }
            }
            case FP8_E4M3 -> decodeFp8(keys, page, target);
        }
    }

    /** FP8 keys lie one behind the other: eight bytes of a key at a time are spread over eight rows of the target. */
    private static void decodeFp8(IndexKeyCache keys, int page, float[] target) {
        MemorySegment segment = keys.segment();
        int dim = keys.dim();
        for (int i = 0; i < PageTable.PAGE; i++) {
            int slot = page * PageTable.PAGE + i;
            long at = keys.fp8Offset(slot);
            int d = 0;
            for (; d + 8 <= dim; d += 8) {
                long bytes = segment.get(LONG, at + d);
                float scale = keys.fp8Scale(slot, d);
                int to = d * PageTable.PAGE + i;
                target[to] = FP8[(int) bytes & 0xff] * scale;
                target[to + PageTable.PAGE] = FP8[(int) (bytes >>> 8) & 0xff] * scale;
                target[to + 2 * PageTable.PAGE] = FP8[(int) (bytes >>> 16) & 0xff] * scale;
                target[to + 3 * PageTable.PAGE] = FP8[(int) (bytes >>> 24) & 0xff] * scale;
                target[to + 4 * PageTable.PAGE] = FP8[(int) (bytes >>> 32) & 0xff] * scale;
                target[to + 5 * PageTable.PAGE] = FP8[(int) (bytes >>> 40) & 0xff] * scale;
                target[to + 6 * PageTable.PAGE] = FP8[(int) (bytes >>> 48) & 0xff] * scale;
                target[to + 7 * PageTable.PAGE] = FP8[(int) (bytes >>> 56) & 0xff] * scale;
            }
            for (; d < dim; d++) {
                byte bits = segment.get(ValueLayout.JAVA_BYTE, at + d);
                target[d * PageTable.PAGE + i] = FP8[bits & 0xff] * keys.fp8Scale(slot, d);
            }
        }
    }
}
