package dev.gyre.tornado;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.ScoreKernels;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.ArrayList;
import java.util.List;

/** The index scores of one layer on the device: the mirrored keys, and a graph for each number of rows at a time. */
final class ScorePlan implements AutoCloseable {
    /** Rows that run together: one for a decode step, more for prompts. */
    private static final int[] ROWS = {1, 16};

    private final IndexKeyCache cache;
    private final int heads;
    private final int most;
    private final PageMirror mirror;
    private final List<Score> scores = new ArrayList<>();
    private DevicePlan plan;

    /** Arrays of a graph. */
    private record Score(Rows rows, IntArray meta, FloatArray queries, FloatArray weights, FloatArray out) {
        static Score allocate(int rows, int most, IndexQueries shape) {
            return new Score(
                    Rows.allocate(rows, most),
                    DeviceArrays.ints(6),
                    DeviceArrays.floats(rows * shape.heads() * shape.dim()),
                    DeviceArrays.floats(rows * shape.heads()),
                    DeviceArrays.floats(Math.multiplyExact(rows, most)));
        }

        KernelGraph graph(PageMirror mirror) {
            FloatArray table = Decode.table();
            IntArray bits = mirror.ints();
            FloatArray floats = mirror.floats();
            int blocks = rows.capacity() * ScoreKernels.PAGE_GROUPS;
            return new KernelGraph("score" + rows.capacity())
                    .from(PageMirror.GRAPH, bits, floats)
                    .once(table, out)
                    .always(meta, rows.visible(), rows.tables(), queries, weights)
                    .then(Call.of("scores", blocks, ScoreKernels.BLOCK, ScoreKernels.LOCAL_BYTES)
                            .kernel(ScoreKernels::kScore,
                                    meta, rows.visible(), rows.tables(), queries, weights, bits, floats, table, out))
                    .results(out);
        }
    }

    /** Arrays alone; {@link #start} brings them to a device. */
    ScorePlan(IndexKeyCache cache, IndexQueries shape, int longest) {
        this.cache = cache;
        heads = shape.heads();
        most = Rows.room(longest);
        mirror = new MirroredKeys(cache).mirror();
        for (int rows : ROWS) {
            scores.add(Score.allocate(rows, most, shape));
        }
    }

    ScorePlan start(TornadoDevice device) {
        plan = new DevicePlan(device, graphs());
        mirror.forget(plan, 0);
        return this;
    }

    /** The graphs of the plan, the mirror's first. */
    List<KernelGraph> graphs() {
        List<KernelGraph> graphs = new ArrayList<>(List.of(mirror.graph()));
        scores.forEach(score -> graphs.add(score.graph(mirror)));
        return graphs;
    }

    boolean serves(IndexQueries queries, int longest) {
        return queries.heads() == heads && longest <= most;
    }

    void score(IndexQueries queries, QueryRows rows, int from, int to, float[] target, int stride) {
        mirror.update(plan, 0);
        int format = MirroredLatents.format(cache.dtype());
        for (int first = from; first < to; ) {
            int graph = to - first == 1 ? 0 : 1;
            Score score = scores.get(graph);
            int count = Math.min(score.rows().capacity(), to - first);
            int[] meta = {count, heads, queries.dim(), format, most, score.rows().stride()};
            DeviceArrays.copy(meta, 0, score.meta(), 0, meta.length);
            score.rows().set(rows, first, first + count);
            int query = heads * queries.dim();
            DeviceArrays.copy(queries.queries(), first * query, score.queries(), 0, count * query);
            DeviceArrays.copy(queries.weights(), first * heads, score.weights(), 0, count * heads);
            plan.run(1 + graph);
            for (int i = 0; i < count; i++) {
                int seen = rows.visible(first + i);
                DeviceArrays.copy(score.out(), i * most, target, (first - from + i) * stride, seen);
            }
            first += count;
        }
    }

    @Override
    public void close() {
        plan.close();
    }
}
