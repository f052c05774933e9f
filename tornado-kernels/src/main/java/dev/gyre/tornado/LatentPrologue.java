package dev.gyre.tornado;

import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.PrologueKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What MLA computes between its projections and its cache, for the new tokens of a step: the latent's RMSNorm, RoPE of
 * the rotary key and of the queries, and the write into the mirrored cache.
 */
final class LatentPrologue {
    private final Rows rows;
    private final CacheShape shape;
    private final int format;
    private final int heads;
    private final int nope;
    private final boolean interleaved;
    private final FloatArray gain;
    private final FloatArray angles;
    private final IntArray meta = DeviceArrays.ints(6);
    private final IntArray queryMeta = DeviceArrays.ints(6);
    private final FloatArray kv;
    private final FloatArray queries;
    private final IntArray cached;

    /**
     * @param rows of the step, shared with all that serve it
     * @param heads attention heads
     * @param nope width of a head's query without its rotary part
     * @param interleaved whether RoPE's pairs are (2i, 2i+1)
     * @param gain of the norm, {@code [latent]}
     * @param angles as {@link Angles} makes them
     */
    LatentPrologue(
            Rows rows,
            CacheShape shape,
            CacheDtype dtype,
            int heads,
            int nope,
            boolean interleaved,
            FloatArray gain,
            FloatArray angles) {
        this.rows = rows;
        this.shape = shape;
        this.heads = heads;
        this.nope = nope;
        this.interleaved = interleaved;
        this.gain = gain;
        this.angles = Angles.reaching(angles, rows, shape.rope());
        format = MirroredLatents.format(dtype);
        kv = DeviceArrays.floats(Math.multiplyExact(rows.capacity(), shape.width()));
        queries = DeviceArrays.floats(
                Math.multiplyExact(rows.capacity(), Math.multiplyExact(heads, nope + shape.rope())));
        cached = DeviceArrays.ints(Math.multiplyExact(rows.capacity(), shape.width()));
    }

    /** {@code [capacity, latent + rope]}, of kv_a_proj. */
    FloatArray kv() {
        return kv;
    }

    /** {@code [capacity, heads, nope + rope]}, of q_b_proj; rotated in place. */
    FloatArray queries() {
        return queries;
    }

    /** {@code [capacity, latent + rope]}: bits of what went to the cache, before it was rounded. */
    IntArray cached() {
        return cached;
    }

    /** How many rows the next run has. */
    void set(int count) {
        int pairs = interleaved ? 1 : 0;
        int[] values = {count, shape.latent(), shape.rope(), format, rows.stride(), pairs};
        DeviceArrays.copy(values, 0, meta, 0, values.length);
        int[] query = {count, heads, nope + shape.rope(), nope, shape.rope(), pairs};
        DeviceArrays.copy(query, 0, queryMeta, 0, query.length);
    }

    /** A graph of these calls alone, behind the mirror's own. */
    KernelGraph graph(PageMirror mirror) {
        IntArray bits = mirror.ints();
        FloatArray floats = mirror.floats();
        return new KernelGraph("latents" + rows.capacity())
                .from(PageMirror.GRAPH, bits, floats)
                .once(gain, angles, cached)
                .always(meta, queryMeta, rows.visible(), rows.tables(), kv, queries)
                .then(Call.of("latents", rows.capacity(), PrologueKernels.BLOCK, PrologueKernels.LATENT_BYTES)
                        .kernel(PrologueKernels::kLatents,
                                meta, rows.visible(), rows.tables(), kv, gain, angles, cached, bits, floats))
                .then(rotation(Math.multiplyExact(rows.capacity(), heads), shape.rope())
                        .kernel(PrologueKernels::kRotate, queryMeta, rows.visible(), angles, queries))
                .keep(bits, floats)
                .results(queries);
    }

    /** A call of {@link PrologueKernels#kRotate} for so many heads. */
    static Call.Builder rotation(int heads, int rope) {
        int blocks = Math.ceilDiv(Math.multiplyExact(heads, rope / 2), PrologueKernels.BLOCK);
        return Call.of("queries", blocks, PrologueKernels.BLOCK, 0);
    }
}
