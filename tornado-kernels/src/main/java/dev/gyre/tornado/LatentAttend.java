package dev.gyre.tornado;

import dev.gyre.attention.MlaQueries;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** A graph that attends for a number of rows at a time, and its arrays. */
interface LatentAttend {
    /** Rows that run together at most. */
    int rows();

    /** The graph; reads the mirrored cache and writes {@link #out}. */
    KernelGraph graph(PageMirror mirror);

    /**
     * Sets what changes from run to run.
     *
     * @param slots {@code [.., k]} of all rows of the call
     * @param from first row
     * @param count how many rows
     * @param cacheSlots slots of the cache
     */
    void set(MlaQueries queries, int[] slots, int from, int count, int k, int cacheSlots);

    /** {@code [rows, heads, latent]}. */
    FloatArray out();
}
