package dev.gyre.tornado;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.ArrayList;
import java.util.List;

/** The index scores of one layer on the device: the mirrored keys, and a graph for each number of rows at a time. */
final class ScorePlan implements AutoCloseable {
    /** Rows that run together: one for a decode step, more for prompts. */
    private static final int[] ROWS = {1, 16};

    private final int heads;
    private final int most;
    private final PageMirror mirror;
    private final List<ScoreGraph> scores = new ArrayList<>();
    private DevicePlan plan;

    /**
     * Arrays alone; {@link #start} brings them to a device.
     *
     * @param tensorCores whether the device has NVIDIA's tensor cores
     */
    ScorePlan(IndexKeyCache cache, IndexQueries shape, int longest, boolean tensorCores) {
        heads = shape.heads();
        most = Rows.room(longest);
        mirror = new MirroredKeys(cache).mirror();
        for (int rows : ROWS) {
            scores.add(tensorCores && MmaScores.serves(shape, cache)
                    ? new MmaScores(rows, most)
                    : new PortableScores(rows, most, shape, MirroredLatents.format(cache.dtype())));
        }
    }

    ScorePlan start(TornadoDevice device) {
        plan = new DevicePlan(device, graphs());
        try {
            mirror.forget(plan, 0);
        } catch (RuntimeException e) {
            plan.close(); // what fitted before the rest did not
            throw e;
        }
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
        for (int first = from; first < to; ) {
            int graph = to - first == 1 ? 0 : 1;
            ScoreGraph score = scores.get(graph);
            int count = Math.min(score.rows(), to - first);
            score.set(queries, rows, first, count);
            plan.run(1 + graph);
            for (int i = 0; i < count; i++) {
                score.get(i, target, (first - from + i) * stride, rows.visible(first + i));
            }
            first += count;
        }
    }

    @Override
    public void close() {
        plan.close();
    }
}
