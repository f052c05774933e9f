package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Writes pages that the host staged to their places in a resident cache. */
public final class CacheKernels {
    private CacheKernels() {}

    /**
     * {@code pool[pages[i]] = staged[i]} for the first pages[0] pages; the pool begins {@link Decode#LEAD} ints in.
     *
     * @param pages how many, then their numbers
     * @param size {@code [0]}: ints of a page
     */
    public static void kScatterInts(
            KernelContext context, IntArray pages, IntArray size, IntArray staged, IntArray pool) {
        int unit = size.get(0);
        int count = pages.get(0) * unit;
        int threads = context.globalGroupSizeX;
        for (int i = context.globalIdx; i < count; i += threads) {
            pool.set(Decode.LEAD + pages.get(1 + i / unit) * unit + i % unit, staged.get(i));
        }
    }

    /** The same for floats, whose pool has no lead; the floats of a page are {@code size[1]}. */
    public static void kScatterFloats(
            KernelContext context, IntArray pages, IntArray size, FloatArray staged, FloatArray pool) {
        int unit = size.get(1);
        int count = pages.get(0) * unit;
        int threads = context.globalGroupSizeX;
        for (int i = context.globalIdx; i < count; i += threads) {
            pool.set(pages.get(1 + i / unit) * unit + i % unit, staged.get(i));
        }
    }
}
