package dev.gyre.tornado;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.ArrayList;
import java.util.List;

/** The index scores of one layer on the device: the mirrored keys, and a graph for each number of rows at a time. */
final class ScorePlan implements LayerPlans.Plan {
    /** Rows that run together: one for a decode step, more for prompts. */
    private static final int[] ROWS = {1, 16};

    private final int heads;
    private final int most;
    private final List<ScoreGraph> scores = new ArrayList<>();
    private final MirroredPlan plan;

    /**
     * Arrays alone; {@link #start} brings them to a device.
     *
     * @param tensorCores whether the device has NVIDIA's tensor cores
     */
    ScorePlan(IndexKeyCache cache, IndexQueries shape, int longest, boolean tensorCores) {
        heads = shape.heads();
        most = Rows.room(longest);
        PageMirror mirror = new MirroredKeys(cache).mirror();
        for (int rows : ROWS) {
            scores.add(tensorCores && MmaScores.serves(shape, cache)
                    ? new MmaScores(rows, most)
                    : new PortableScores(rows, most, shape, MirroredLatents.format(cache.dtype())));
        }
        plan = new MirroredPlan(mirror, scores.stream().map(score -> score.graph(mirror)).toList());
    }

    ScorePlan start(TornadoDevice device) {
        plan.start(device);
        return this;
    }

    /** The graphs of the plan, for those who walk them without a device. */
    List<KernelGraph> graphs() {
        return plan.graphs();
    }

    boolean serves(IndexQueries queries, int longest) {
        return queries.heads() == heads && longest <= most;
    }

    void score(IndexQueries queries, QueryRows rows, int from, int to, float[] target, int stride) {
        plan.update();
        for (int first = from; first < to; ) {
            int graph = to - first == 1 ? 0 : 1;
            ScoreGraph score = scores.get(graph);
            int count = Math.min(score.rows(), to - first);
            score.set(queries, rows, first, count);
            plan.run(graph);
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
