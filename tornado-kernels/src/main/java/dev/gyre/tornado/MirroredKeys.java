package dev.gyre.tornado;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.ScoreKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How a page of index keys lies on the device: key by key. (On the host f32 and bf16 lie {@code [dim, 64]}; of FP8's 132
 * bytes the scale lies in the float pool.)
 */
record MirroredKeys(IndexKeyCache cache) implements PageMirror.Source {
    MirroredKeys {
        int unit = cache.dtype() == CacheDtype.FP8_E4M3 ? 4 : 2;
        if (cache.dim() > ScoreKernels.MOST_DIM || cache.dim() % unit != 0) {
            throw new EngineException("tornado serves index keys of at most " + ScoreKernels.MOST_DIM
                    + " values, a multiple of " + unit + ", and this model has " + cache.dim()
                    + "; use --dsa-indexer-backend vector.");
        }
    }

    PageMirror mirror() {
        int pages = cache.slots() / PageTable.PAGE;
        return switch (cache.dtype()) {
            case F32 -> new PageMirror(this, pages, 0, cache.dim());
            case BF16 -> new PageMirror(this, pages, cache.dim() / 2, 0);
            case FP8_E4M3 -> new PageMirror(this, pages, cache.dim() / 4, Math.ceilDiv(cache.dim(), Decode.TILE));
        };
    }

    @Override
    public int version(int page) {
        return cache.version(page);
    }

    @Override
    public void stage(int page, IntArray ints, int intAt, FloatArray floats, int floatAt) {
        MemorySegment segment = cache.segment();
        int dim = cache.dim();
        long at = cache.pageOffset(page);
        switch (cache.dtype()) {
            case F32 -> {
                for (int i = 0; i < PageTable.PAGE * dim; i++) {
                    long from = at + (i % dim * (long) PageTable.PAGE + i / dim) * Float.BYTES;
                    floats.set(floatAt + i, segment.get(ValueLayout.JAVA_FLOAT_UNALIGNED, from));
                }
            }
            case BF16 -> {
                for (int i = 0; i < PageTable.PAGE * dim; i += 2) {
                    long from = at + (i % dim * (long) PageTable.PAGE + i / dim) * Short.BYTES;
                    int low = segment.get(ValueLayout.JAVA_SHORT_UNALIGNED, from) & 0xffff;
                    int high = segment.get(ValueLayout.JAVA_SHORT_UNALIGNED, from + PageTable.PAGE * (long) Short.BYTES);
                    ints.set(intAt + i / 2, low | high << 16);
                }
            }
            case FP8_E4M3 -> {
                long codes = PageTable.PAGE * (long) dim;
                long scales = PageTable.PAGE * cache.keyBytes() - codes;
                MemorySegment.copy(segment, at, ints.getSegment(), intAt * 4L, codes);
                MemorySegment.copy(segment, at + codes, floats.getSegment(), floatAt * 4L, scales);
            }
        }
    }
}
