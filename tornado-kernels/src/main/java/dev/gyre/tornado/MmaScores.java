package dev.gyre.tornado;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.MmaScoreKernels;
import dev.gyre.tornado.kernels.ProductValues;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Index scores with {@link MmaScoreKernels}: DeepSeek-V3.2's shape and FP8 keys on NVIDIA's tensor cores. Queries are
 * rounded to f16; keys are exact, sums in f32.
 */
final class MmaScores implements ScoreGraph {

    private final int most;
    private final int shares;
    private final Rows rows;
    private final IntArray meta = DeviceArrays.ints(4);
    private final IntArray queries;
    private final FloatArray weights;
    private final IntArray scores;

    /** @param most the longest row */
    MmaScores(int capacity, int most) {
        this.most = most;
        shares = MmaScoreKernels.shares(capacity, most);
        rows = Rows.allocate(capacity, most);
        queries = DeviceArrays.ints(capacity * MmaScoreKernels.PACKED_INTS);
        weights = DeviceArrays.floats(capacity * MmaScoreKernels.HEADS);
        scores = DeviceArrays.ints(Math.multiplyExact(capacity, most));
    }

    /** Whether the kernels are made for this; they run on CUDA devices alone. */
    static boolean serves(IndexQueries shape, IndexKeyCache cache) {
        return ProductValues.readable()
                && cache.dtype() == CacheDtype.FP8_E4M3
                && shape.heads() == MmaScoreKernels.HEADS
                && shape.dim() == MmaScoreKernels.DIM;
    }

    @Override
    public int rows() {
        return rows.capacity();
    }

    @Override
    public KernelGraph graph(PageMirror mirror) {
        IntArray codes = mirror.ints();
        FloatArray scales = mirror.floats();
        return new KernelGraph("score" + rows.capacity())
                .from(PageMirror.GRAPH, codes, scales)
                .once(scores)
                .always(meta, rows.visible(), rows.tables(), queries, weights)
                .then(Call.of("scores", rows.capacity() * shares, MmaScoreKernels.THREADS, MmaScoreKernels.LOCAL_BYTES)
                        .kernel(MmaScoreKernels::kScores,
                                meta, rows.visible(), rows.tables(), queries, weights, codes, scales, scores))
                .results(scores);
    }

    @Override
    public void set(IndexQueries asked, QueryRows all, int from, int count) {
        int[] values = {count, most, rows.stride(), shares};
        DeviceArrays.copy(values, 0, meta, 0, values.length);
        rows.visible().init(0); // rows that this call does not have see nothing
        rows.set(all, from, from + count);
        MmaScoreKernels.pack(asked.queries(), from, count, queries);
        DeviceArrays.copy(asked.weights(), from * asked.heads(), weights, 0, count * asked.heads());
    }

    @Override
    public void get(int i, float[] target, int at, int count) {
        MemorySegment.copy(scores.getSegment(), ValueLayout.JAVA_FLOAT, i * 4L * most, target, at, count);
    }
}
