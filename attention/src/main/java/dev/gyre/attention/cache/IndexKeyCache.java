package dev.gyre.attention.cache;

import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * One layer's index keys: {@code [slots, index]}, one key for all index heads.
 *
 * <p>f32 and bf16 rows are plain. FP8 is laid out by pages, as in DeepSeek's and SGLang's index-K cache: the 64 keys of
 * the page in e4m3, then their scales in f32 (one per 128 values): 132 bytes a token for a key of 128. A scale is the
 * power of two 2^ceil(log2(max(amax, 1e-4) / 448)) (ue8m0).
 */
public final class IndexKeyCache {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    /** The least amax that a scale is made from; DeepSeek's act_quant kernel clamps here. */
    private static final float LEAST_AMAX = 1e-4f;

    private final int dim;
    private final int tiles;
    private final CacheDtype dtype;
    private final MemorySegment segment;
    private final long keyBytes;
    private final int slots;

    IndexKeyCache(CacheShape shape, CacheDtype dtype, MemorySegment segment, int slots) {
        this.dim = shape.index();
        this.tiles = Math.ceilDiv(dim, Fp8Tile.SIZE);
        this.dtype = dtype;
        this.segment = segment;
        this.keyBytes = shape.indexBytes(dtype);
        this.slots = slots;
    }

    /** How many tokens there is room for. */
    public int slots() {
        return slots;
    }

    /** Values of a key. */
    public int dim() {
        return dim;
    }

    /** How values are stored. */
    public CacheDtype dtype() {
        return dtype;
    }

    /** The raw pages, {@code [pages, 64 * keyBytes]}. */
    public MemorySegment segment() {
        return segment;
    }

    /** Bytes of one key, its scale included. */
    public long keyBytes() {
        return keyBytes;
    }

    /** Where the values of a slot's key begin in the segment. */
    public long keyOffset(int slot) {
        if (dtype == CacheDtype.FP8_E4M3) {
            int page = slot / PageTable.PAGE;
            return page * keyBytes * PageTable.PAGE + (slot % PageTable.PAGE) * (long) dim;
        }
        return slot * keyBytes;
    }

    /** Where the scales of a slot's FP8 key begin in the segment. */
    public long scaleOffset(int slot) {
        int page = slot / PageTable.PAGE;
        long scales = page * keyBytes * PageTable.PAGE + PageTable.PAGE * (long) dim;
        return scales + (slot % PageTable.PAGE) * (long) tiles * Float.BYTES;
    }

    /** The scale that the values of a tile with this largest magnitude are divided by. */
    static float scale(float amax) {
        float wanted = Math.max(amax, LEAST_AMAX) / Fp8E4M3.MAX;
        float power = Math.scalb(1f, Math.getExponent(wanted));
        return power < wanted ? power * 2 : power;
    }

    /** Stores the key {@code source[from, from + dim)}. */
    public void write(int slot, float[] source, int from) {
        long at = keyOffset(slot);
        switch (dtype) {
            case F32 -> MemorySegment.copy(source, from, segment, FLOAT, at, dim);
            case BF16 -> {
                for (int i = 0; i < dim; i++) {
                    segment.set(SHORT, at + i * (long) Short.BYTES, Bf16.encode(source[from + i]));
                }
            }
            case FP8_E4M3 -> {
                long scales = scaleOffset(slot);
                for (int start = 0; start < dim; start += Fp8Tile.SIZE) {
                    int end = Math.min(start + Fp8Tile.SIZE, dim);
                    float scale = scale(Fp8Tile.amax(source, from + start, from + end));
                    for (int i = start; i < end; i++) {
                        segment.set(ValueLayout.JAVA_BYTE, at + i, Fp8E4M3.encode(source[from + i] / scale));
                    }
                    segment.set(FLOAT, scales + start / Fp8Tile.SIZE * (long) Float.BYTES, scale);
                }
            }
        }
    }

    /** Decodes a key into {@code target[to, to + dim)}. */
    public void read(int slot, float[] target, int to) {
        long at = keyOffset(slot);
        switch (dtype) {
            case F32 -> MemorySegment.copy(segment, FLOAT, at, target, to, dim);
            case BF16 -> {
                for (int i = 0; i < dim; i++) {
                    target[to + i] = Bf16.decode(segment.get(SHORT, at + i * (long) Short.BYTES));
                }
            }
            case FP8_E4M3 -> {
                long scales = scaleOffset(slot);
                for (int i = 0; i < dim; i++) {
                    float scale = segment.get(FLOAT, scales + i / Fp8Tile.SIZE * (long) Float.BYTES);
                    target[to + i] = Fp8E4M3.decode(segment.get(ValueLayout.JAVA_BYTE, at + i)) * scale;
                }
            }
        }
    }
}
