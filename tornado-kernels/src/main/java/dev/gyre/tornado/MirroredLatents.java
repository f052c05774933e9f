package dev.gyre.tornado;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.LatentCache;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.MlaKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How a page of latents lies on the device. The same bits as on the host; of FP8's 656 bytes the scales lie in the float
 * pool, since OpenCL kernels cannot read a float from an int array.
 */
record MirroredLatents(LatentCache cache) implements PageMirror.Source {
    MirroredLatents {
        CacheShape shape = cache.shape();
        boolean whole = cache.dtype() != CacheDtype.FP8_E4M3 || shape.latent() % 4 == 0;
        if (!whole || shape.latent() % 2 != 0 || shape.rope() % 2 != 0 || shape.latent() > MlaKernels.MOST_LATENT
                || shape.width() > MlaKernels.MOST_WIDTH) {
            throw new EngineException("tornado serves even widths, latents of at most " + MlaKernels.MOST_LATENT
                    + " and rows of at most " + MlaKernels.MOST_WIDTH + " values, and this model has " + shape.latent()
                    + " + " + shape.rope() + "; use --dsa-decode-backend vector and --dsa-prefill-backend vector.");
        }
    }

    PageMirror mirror() {
        CacheShape shape = cache.shape();
        int pages = cache.slots() / PageTable.PAGE;
        return switch (cache.dtype()) {
            case F32 -> new PageMirror(this, pages, 0, shape.width());
            case BF16 -> new PageMirror(this, pages, shape.width() / 2, 0);
            case FP8_E4M3 -> new PageMirror(
                    this, pages, Decode.fp8RowInts(shape.latent(), shape.rope()), tiles(shape));
        };
    }

    private static int tiles(CacheShape shape) {
        return Math.ceilDiv(shape.latent(), LatentCache.TILE);
    }

    /** The kernels' number of a dtype. */
    static int format(CacheDtype dtype) {
        return switch (dtype) {
            case F32 -> Decode.F32;
            case BF16 -> Decode.BF16;
            case FP8_E4M3 -> Decode.FP8;
        };
    }

    @Override
    public int version(int page) {
        return cache.version(page);
    }

    @Override
    public void stage(int page, IntArray ints, int intAt, FloatArray floats, int floatAt) {
        MemorySegment rows = cache.segment();
        long at = Math.multiplyExact((long) page * PageTable.PAGE, cache.rowBytes());
        long size = PageTable.PAGE * cache.rowBytes();
        switch (cache.dtype()) {
            case F32 -> MemorySegment.copy(rows, at, floats.getSegment(), floatAt * 4L, size);
            case BF16 -> MemorySegment.copy(rows, at, ints.getSegment(), intAt * 4L, size);
            case FP8_E4M3 -> {
                CacheShape shape = cache.shape();
                long scaleBytes = tiles(shape) * 4L;
                long rope = shape.rope() * 2L;
                for (int i = 0; i < PageTable.PAGE; i++) {
                    long row = at + i * cache.rowBytes();
                    long to = (intAt + (long) i * Decode.fp8RowInts(shape.latent(), shape.rope())) * 4;
                    MemorySegment.copy(rows, row, ints.getSegment(), to, shape.latent());
                    MemorySegment.copy(
                            rows, row + shape.latent() + scaleBytes, ints.getSegment(), to + shape.latent(), rope);
                    MemorySegment.copy(rows, ValueLayout.JAVA_BYTE, row + shape.latent(), floats.getSegment(),
                            ValueLayout.JAVA_BYTE, floatAt * 4L + i * scaleBytes, scaleBytes);
                }
            }
        }
    }
}
