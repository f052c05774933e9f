package dev.gyre.tornado;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.ScoreKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Index scores with {@link ScoreKernels}: any device, any cache dtype, f32 arithmetic. */
final class PortableScores implements ScoreGraph {
    private final int most;
    private final int format;
    private final Rows rows;
    private final IntArray meta = DeviceArrays.ints(6);
    private final FloatArray table = Decode.table();
    private final FloatArray queries;
    private final FloatArray weights;
    private final FloatArray scores;

    /** @param most the longest row */
    PortableScores(int capacity, int most, IndexQueries shape, int format) {
        this.most = most;
        this.format = format;
        rows = Rows.allocate(capacity, most);
        queries = DeviceArrays.floats(capacity * shape.heads() * shape.dim());
        weights = DeviceArrays.floats(capacity * shape.heads());
        scores = DeviceArrays.floats(Math.multiplyExact(capacity, most));
    }

    @Override
    public int rows() {
        return rows.capacity();
    }

    @Override
    public KernelGraph graph(PageMirror mirror) {
        IntArray bits = mirror.ints();
        FloatArray floats = mirror.floats();
        int blocks = rows.capacity() * ScoreKernels.PAGE_GROUPS;
        return new KernelGraph("score" + rows.capacity())
                .from(PageMirror.GRAPH, bits, floats)
                .once(table, scores)
                .always(meta, rows.visible(), rows.tables(), queries, weights)
                .then(Call.of("scores", blocks, ScoreKernels.BLOCK, ScoreKernels.LOCAL_BYTES)
                        .kernel(ScoreKernels::kScore,
                                meta, rows.visible(), rows.tables(), queries, weights, bits, floats, table, scores))
                .results(scores);
    }

    @Override
    public void set(IndexQueries asked, QueryRows all, int from, int count) {
        int[] values = {count, asked.heads(), asked.dim(), format, most, rows.stride()};
        DeviceArrays.copy(values, 0, meta, 0, values.length);
        rows.set(all, from, from + count);
        int query = asked.heads() * asked.dim();
        DeviceArrays.copy(asked.queries(), from * query, queries, 0, count * query);
        DeviceArrays.copy(asked.weights(), from * asked.heads(), weights, 0, count * asked.heads());
    }

    @Override
    public void get(int i, float[] target, int at, int count) {
        DeviceArrays.copy(scores, i * most, target, at, count);
    }
}
