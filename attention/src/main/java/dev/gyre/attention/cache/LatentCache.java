package dev.gyre.attention.cache;

import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * One layer's latents: {@code [slots, latent + rope]}, the normalised latent and after it the rotated key that all
 * heads share.
 *
 * <p>Layouts of a row (FlashMLA's for FP8): f32 and bf16 plain; FP8 {@code latent} e4m3 bytes, then one f32 scale for
 * every 128 of them, then {@code rope} bf16: 656 bytes for 512 + 64. A scale is amax/448, any f32; a tile of zeros has
 * scale 1.
 */
public final class LatentCache {
    /** Values that share a scale in FP8. */
    public static final int TILE = Fp8Tile.SIZE;

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

    private final CacheShape shape;
    private final CacheDtype dtype;
    private final MemorySegment segment;
    private final long rowBytes;
    private final int slots;
    private final Changes changes;

    LatentCache(CacheShape shape, CacheDtype dtype, MemorySegment segment, int slots, Changes changes) {
        this.shape = shape;
        this.dtype = dtype;
        this.segment = segment;
        this.rowBytes = shape.latentBytes(dtype);
        this.slots = slots;
        this.changes = changes;
    }

    /**
     * An empty cache of the same layout in other memory, for those who copy rows there; it closes with this one, or
     * earlier, with its arena.
     */
    public LatentCache like(int slots, Arena arena) {
        MemorySegment rows = arena.allocate(Math.multiplyExact((long) slots, rowBytes), KvCache.ALIGNMENT);
        return new LatentCache(shape, dtype, rows, slots, changes.like(slots));
    }

    /** How many tokens there is room for. */
    public int slots() {
        return slots;
    }

    /** What a row is made of. */
    public CacheShape shape() {
        return shape;
    }

    /** How values are stored. */
    public CacheDtype dtype() {
        return dtype;
    }

    /** The raw rows, {@code [slots, rowBytes]}. */
    public MemorySegment segment() {
        return segment;
    }

    /** Bytes of one row. */
    public long rowBytes() {
        return rowBytes;
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

    /** Stores the row {@code source[from, from + latent + rope)}. */
    public void write(int slot, float[] source, int from) {
        changes.wrote(slot);
        long at = Math.multiplyExact(slot, rowBytes);
        int width = shape.width();
        switch (dtype) {
            case F32 -> MemorySegment.copy(source, from, segment, FLOAT, at, width);
            case BF16 -> writeBf16(at, source, from, width);
            case FP8_E4M3 -> {
                long scales = at + shape.latent();
                for (int start = 0; start < shape.latent(); start += Fp8Tile.SIZE) {
                    int end = Math.min(start + Fp8Tile.SIZE, shape.latent());
                    float amax = Fp8Tile.amax(source, from + start, from + end);
                    float wanted = amax / Fp8E4M3.MAX; // 0 also where amax is so small that nothing is left of it
                    float scale = wanted > 0 ? wanted : 1f;
                    for (int i = start; i < end; i++) {
                        segment.set(ValueLayout.JAVA_BYTE, at + i, Fp8E4M3.encode(source[from + i] / scale));
                    }
                    segment.set(FLOAT, scales + start / Fp8Tile.SIZE * (long) Float.BYTES, scale);
                }
                long rope = at + rowBytes - shape.rope() * (long) Short.BYTES;
                writeBf16(rope, source, from + shape.latent(), shape.rope());
            }
        }
    }

    /** Makes a page what another one is. */
    void copyPage(int from, int to) {
        long bytes = Math.multiplyExact(PageTable.PAGE, rowBytes);
        MemorySegment.copy(segment, from * bytes, segment, to * bytes, bytes);
        changes.wrote(to * PageTable.PAGE);
    }

    /** Decodes a row into {@code target[to, to + latent + rope)}. */
    public void read(int slot, float[] target, int to) {
        long at = Math.multiplyExact(slot, rowBytes);
        int width = shape.width();
        switch (dtype) {
            case F32 -> MemorySegment.copy(segment, FLOAT, at, target, to, width);
            case BF16 -> readBf16(at, target, to, width);
            case FP8_E4M3 -> {
                long scales = at + shape.latent();
                for (int i = 0; i < shape.latent(); i++) {
                    float scale = segment.get(FLOAT, scales + i / Fp8Tile.SIZE * (long) Float.BYTES);
                    target[to + i] = Fp8E4M3.decode(segment.get(ValueLayout.JAVA_BYTE, at + i)) * scale;
                }
                readBf16(at + rowBytes - shape.rope() * (long) Short.BYTES, target, to + shape.latent(), shape.rope());
            }
        }
    }

    private void writeBf16(long at, float[] source, int from, int count) {
        for (int i = 0; i < count; i++) {
            segment.set(SHORT, at + i * (long) Short.BYTES, Bf16.encode(source[from + i]));
        }
    }

    private void readBf16(long at, float[] target, int to, int count) {
        for (int i = 0; i < count; i++) {
            target[to + i] = Bf16.decode(segment.get(SHORT, at + i * (long) Short.BYTES));
        }
    }
}
