package dev.gyre.attention.cache;

import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;

/**
 * One layer's index keys: {@code [slots, index]}, one key for all index heads.
 *
 * <p>Layouts are by pages of 64 tokens. f32 and bf16: {@code [index, 64]}, so that vectors run along the keys. FP8, as
 * in DeepSeek's and SGLang's index-K cache: {@code [64, index]} e4m3, then the keys' scales in f32 (one per 128
 * values): 132 bytes a token for a key of 128. A scale is the power of two 2^ceil(log2(max(amax, 1e-4) / 448)) (ue8m0).
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
    private final Changes changes;

    IndexKeyCache(CacheShape shape, CacheDtype dtype, MemorySegment segment, int slots, Changes changes) {
        this.dim = shape.index();
        this.tiles = Math.ceilDiv(dim, Fp8Tile.SIZE);
        this.dtype = dtype;
        this.segment = segment;
        this.keyBytes = shape.indexBytes(dtype);
        this.slots = slots;
        this.changes = changes;
    }

    /** Exact keys in the Java heap that belong to no {@link KvCache}; {@code slots} fill whole pages. */
    public static IndexKeyCache onHeap(int dim, int slots) {
        MemorySegment segment = MemorySegment.ofArray(new float[Math.multiplyExact(dim, slots)]);
        Changes changes = new Changes(slots, new ArrayList<>());
        return new IndexKeyCache(new CacheShape(0, 0, dim), CacheDtype.F32, segment, slots, changes);
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

    /** Where a page begins in the segment. */
    public long pageOffset(int page) {
        return page * keyBytes * PageTable.PAGE;
    }

    /** Where the bytes of a slot's FP8 key begin in the segment. */
    public long fp8Offset(int slot) {
        return pageOffset(slot / PageTable.PAGE) + slot % PageTable.PAGE * (long) dim;
    }

    /** The scale of a value of a slot's FP8 key. */
    public float fp8Scale(int slot, int d) {
        return segment.get(FLOAT, scaleOffset(slot) + d / Fp8Tile.SIZE * (long) Float.BYTES);
    }

    private long scaleOffset(int slot) {
        long scales = pageOffset(slot / PageTable.PAGE) + PageTable.PAGE * (long) dim;
        return scales + slot % PageTable.PAGE * (long) tiles * Float.BYTES;
    }

    /** Where a value of a slot's f32 or bf16 key lies in the segment. */
    private long offset(int slot, int d, int bytes) {
        return pageOffset(slot / PageTable.PAGE) + ((long) d * PageTable.PAGE + slot % PageTable.PAGE) * bytes;
    }

    /** The scale that the values of a tile with this largest magnitude are divided by. */
    static float scale(float amax) {
        float wanted = Math.max(amax, LEAST_AMAX) / Fp8E4M3.MAX;
        float power = Math.scalb(1f, Math.getExponent(wanted));
        return power < wanted ? power * 2 : power;
    }

    /**
     * How often something in a page of 64 slots was written, from 0 on and modulo 2^32: a copy of the page that was
     * made at this version is still right.
     */
    public int version(int page) {
        return changes.version(page);
    }

    /** Counts as a write to every page: for those who fill {@link #segment()} themselves. */
    public void markAllWritten() {
        changes.wroteAll();
    }

    /** Does this when the {@link KvCache} closes, before the memory is freed; for those who keep copies. */
    public void onClose(Runnable action) {
        changes.onClose(action);
    }

    /** Stores the key {@code source[from, from + dim)}. */
    public void write(int slot, float[] source, int from) {
        changes.wrote(slot);
        switch (dtype) {
            case F32 -> {
                for (int i = 0; i < dim; i++) {
                    segment.set(FLOAT, offset(slot, i, Float.BYTES), source[from + i]);
                }
            }
            case BF16 -> {
                for (int i = 0; i < dim; i++) {
                    segment.set(SHORT, offset(slot, i, Short.BYTES), Bf16.encode(source[from + i]));
                }
            }
            case FP8_E4M3 -> {
                long at = fp8Offset(slot);
                for (int start = 0; start < dim; start += Fp8Tile.SIZE) {
                    int end = Math.min(start + Fp8Tile.SIZE, dim);
                    float scale = scale(Fp8Tile.amax(source, from + start, from + end));
                    for (int i = start; i < end; i++) {
                        segment.set(ValueLayout.JAVA_BYTE, at + i, Fp8E4M3.encode(source[from + i] / scale));
                    }
                    segment.set(FLOAT, scaleOffset(slot) + start / Fp8Tile.SIZE * (long) Float.BYTES, scale);
                }
            }
        }
    }

    /** Makes a page what another one is. */
    void copyPage(int from, int to) {
        MemorySegment.copy(segment, pageOffset(from), segment, pageOffset(to), PageTable.PAGE * keyBytes);
        changes.wrote(to * PageTable.PAGE);
    }

    /** Decodes a key into {@code target[to, to + dim)}. */
    public void read(int slot, float[] target, int to) {
        for (int i = 0; i < dim; i++) {
            target[to + i] = switch (dtype) {
                case F32 -> segment.get(FLOAT, offset(slot, i, Float.BYTES));
                case BF16 -> Bf16.decode(segment.get(SHORT, offset(slot, i, Short.BYTES)));
                case FP8_E4M3 ->
                    Fp8E4M3.decode(segment.get(ValueLayout.JAVA_BYTE, fp8Offset(slot) + i)) * fp8Scale(slot, i);
            };
        }
    }
}
