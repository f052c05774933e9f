package dev.gyre.tornado;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.PrologueKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What the indexer computes between its projections and its cache, for the new tokens of a step: the key's LayerNorm,
 * RoPE of key and queries, and the write into the mirrored cache. On demand both are also rotated by Hadamard's matrix,
 * which leaves scores as they are and spreads a key's outliers over its FP8 tile. Queries stay f32, as on the host.
 */
final class IndexPrologue {
    private final Rows rows;
    private final Shape shape;
    private final int format;
    private final FloatArray gain;
    private final FloatArray bias;
    private final FloatArray angles;
    private final IntArray meta = DeviceArrays.ints(7);
    private final IntArray queryMeta = DeviceArrays.ints(6);
    private final FloatArray keys;
    private final FloatArray queries;
    private final IntArray cached;

    /**
     * An indexer.
     *
     * @param heads index heads
     * @param dim width of a key and of a query head
     * @param rope how many of its first values RoPE turns
     * @param interleaved whether RoPE's pairs are (2i, 2i+1); DeepSeek-V3.2's are (i, i + rope/2)
     * @param hadamard whether keys and queries are rotated by Hadamard's matrix: both, or scores are wrong
     */
    record Shape(int heads, int dim, int rope, boolean interleaved, boolean hadamard) {
        Shape {
            if (dim > PrologueKernels.BLOCK || rope % 2 != 0 || rope > dim) {
                throw new EngineException("index keys of " + dim + " values, of which RoPE turns " + rope
                        + ", cannot be made on a device: up to " + PrologueKernels.BLOCK + " and an even number of them.");
            }
            if (hadamard && Integer.bitCount(dim) != 1) {
                throw new EngineException("Hadamard's rotation needs index keys of a power of two, and this model's "
                        + "have " + dim + " values; leave it out.");
            }
        }
    }

    /**
     * @param rows of the step, shared with all that serve it
     * @param gain of the norm, {@code [dim]}
     * @param bias of the norm, {@code [dim]}
     * @param angles as {@link Angles} makes them
     */
    IndexPrologue(Rows rows, Shape shape, CacheDtype dtype, FloatArray gain, FloatArray bias, FloatArray angles) {
        this.rows = rows;
        this.shape = shape;
        this.gain = gain;
        this.bias = bias;
        this.angles = Angles.reaching(angles, rows, shape.rope());
        format = MirroredLatents.format(dtype);
        keys = DeviceArrays.floats(Math.multiplyExact(rows.capacity(), shape.dim()));
        queries = DeviceArrays.floats(
                Math.multiplyExact(rows.capacity(), Math.multiplyExact(shape.heads(), shape.dim())));
        cached = DeviceArrays.ints(Math.multiplyExact(rows.capacity(), shape.dim()));
    }

    /** {@code [capacity, dim]}, of wk. */
    FloatArray keys() {
        return keys;
    }

    /** {@code [capacity, heads, dim]}, of wq_b; rotated in place. */
    FloatArray queries() {
        return queries;
    }

    /** {@code [capacity, dim]}: bits of what went to the cache, before it was rounded. */
    IntArray cached() {
        return cached;
    }

    /** How many rows the next run has. */
    void set(int count) {
        int pairs = shape.interleaved() ? 1 : 0;
        int turned = shape.hadamard() ? 1 : 0;
        int[] values = {count, shape.dim(), shape.rope(), format, rows.stride(), pairs, turned};
        DeviceArrays.copy(values, 0, meta, 0, values.length);
        int[] query = {count, shape.heads(), shape.dim(), 0, shape.rope(), pairs};
        DeviceArrays.copy(query, 0, queryMeta, 0, query.length);
    }

    /** A graph of these calls alone, behind the mirror's own. */
    KernelGraph graph(PageMirror mirror) {
        IntArray bits = mirror.ints();
        FloatArray floats = mirror.floats();
        int heads = Math.multiplyExact(rows.capacity(), shape.heads());
        KernelGraph graph = new KernelGraph("index" + rows.capacity())
                .from(PageMirror.GRAPH, bits, floats)
                .once(gain, bias, angles, cached)
                .always(meta, queryMeta, rows.visible(), rows.tables(), keys, queries)
                .then(Call.of("keys", rows.capacity(), PrologueKernels.BLOCK, PrologueKernels.KEY_BYTES)
                        .kernel(PrologueKernels::kIndexKeys,
                                meta, rows.visible(), rows.tables(), keys, gain, bias, angles, cached, bits, floats))
                .then(LatentPrologue.rotation(heads, shape.rope())
                        .kernel(PrologueKernels::kRotate, queryMeta, rows.visible(), angles, queries));
        if (shape.hadamard()) {
            graph.then(Call.of("hadamard", heads, PrologueKernels.BLOCK, PrologueKernels.HADAMARD_BYTES)
                    .kernel(PrologueKernels::kHadamard, queryMeta, queries));
        }
        return graph.keep(bits, floats).results(queries);
    }
}
