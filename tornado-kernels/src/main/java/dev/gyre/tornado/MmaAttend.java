package dev.gyre.tornado;

import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.LatentCache;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.MmaMlaKernels;
import dev.gyre.tornado.kernels.MmaMlaSums;
import dev.gyre.tornado.kernels.ProductValues;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;

/**
 * Attention with {@link MmaMlaKernels} and {@link MmaMlaSums}: DeepSeek-V3.2's shape and bf16 caches on NVIDIA's
 * tensor cores. Queries and weights are rounded to bf16 too, as FlashMLA does; sums are in f32.
 */
final class MmaAttend implements LatentAttend {
    private final int rows;
    private final int k;
    private final int runs;
    private final IntArray meta = DeviceArrays.ints(5);
    private final FloatArray factors = DeviceArrays.floats(1);
    private final IntArray selected;
    private final FloatArray queries;
    private final FloatArray out;

    /** @param most the longest selection */
    MmaAttend(int rows, int most) {
        this.rows = rows;
        k = Math.ceilDiv(most, MmaMlaKernels.TILE) * MmaMlaKernels.TILE;
        runs = MmaMlaSums.runs(rows, k);
        selected = DeviceArrays.ints(Math.multiplyExact(rows, k));
        queries = DeviceArrays.floats(Math.multiplyExact(rows, MmaMlaKernels.HEADS * MmaMlaKernels.WIDTH));
        out = DeviceArrays.floats(Math.multiplyExact(rows, MmaMlaKernels.HEADS * MmaMlaKernels.LATENT));
    }

    /** Whether the kernels are made for this; they run on CUDA devices alone. */
    static boolean serves(MlaQueries shape, LatentCache cache) {
        return ProductValues.readable()
                && cache.dtype() == CacheDtype.BF16
                && shape.heads() == MmaMlaKernels.HEADS
                && shape.latent() == MmaMlaKernels.LATENT
                && shape.rope() == MmaMlaKernels.ROPE;
    }

    @Override
    public int rows() {
        return rows;
    }

    @Override
    public KernelGraph graph(PageMirror mirror) {
        int tiles = rows * k / MmaMlaKernels.TILE;
        LongArray packed = DeviceArrays.longs(MmaMlaKernels.LONG_LEAD + rows * MmaMlaKernels.PACKED);
        LongArray weights = DeviceArrays.longs(
                Math.addExact(MmaMlaKernels.LONG_LEAD, Math.multiplyExact(rows * k, MmaMlaKernels.HEADS / 4)));
        FloatArray highest = DeviceArrays.floats(tiles * MmaMlaKernels.HEADS);
        FloatArray totals = DeviceArrays.floats(rows * runs * MmaMlaKernels.HEADS);
        FloatArray parts = runs == 1 ? out : DeviceArrays.floats(Math.multiplyExact(out.getSize(), runs));
        IntArray latents = mirror.ints();
        KernelGraph graph = new KernelGraph("attend" + rows)
                .from(PageMirror.GRAPH, latents, mirror.floats())
                .once(packed, weights, highest, totals, out)
                .always(meta, factors, selected, queries)
                .then(Call.of("pack", rows * MmaMlaKernels.PACKED / 256, 256, 0)
                        .kernel(MmaMlaKernels::kPackQueries, meta, queries, packed))
                .then(Call.of("weights", tiles, MmaMlaKernels.THREADS, MmaMlaKernels.LOCAL_BYTES)
                        .kernel(MmaMlaKernels::kWeights, meta, factors, selected, packed, latents, weights, highest))
                .then(Call.of("sums", rows * runs * MmaMlaSums.COLUMNS, MmaMlaSums.THREADS, MmaMlaSums.LOCAL_BYTES)
                        .kernel(MmaMlaSums::kSums, meta, selected, weights, highest, latents, totals, parts))
                .results(out);
        return runs == 1
                ? graph
                : graph.once(parts)
                        .then(Call.of("divide", out.getSize() / 256, 256, 0)
                                .kernel(MmaMlaSums::kDivide, meta, totals, parts, out));
    }

    @Override
    public void set(MlaQueries asked, int[] slots, int from, int count, int asking, int cacheSlots) {
        int[] values = {rows, k, cacheSlots, MmaMlaSums.runTokens(rows, k), runs};
        DeviceArrays.copy(values, 0, meta, 0, values.length);
        factors.set(0, asked.scale());
        selected.init(-1); // also the places behind a shorter selection, and rows that this call does not have
        for (int row = 0; row < count; row++) {
            DeviceArrays.copy(slots, (from + row) * asking, selected, row * k, asking);
        }
        int query = MmaMlaKernels.HEADS * MmaMlaKernels.WIDTH;
        DeviceArrays.copy(asked.queries(), from * query, queries, 0, count * query);
    }

    @Override
    public FloatArray out() {
        return out;
    }
}
