package dev.gyre.tornado;

import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.cache.LatentCache;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.ArrayList;
import java.util.List;

/** The attention of one layer on the device: the mirrored cache, and a graph for each number of rows at a time. */
final class LatentPlan implements LayerPlans.Plan {
    /** Rows that run together: one for a decode step, more for prompts. */
    private static final int[] ROWS = {1, 16};

    private final LatentCache cache;
    private final int heads;
    private final int most;
    private final List<LatentAttend> attends = new ArrayList<>();
    private final MirroredPlan plan;

    /**
     * Arrays alone; {@link #start} brings them to a device.
     *
     * @param tensorCores whether the device has NVIDIA's tensor cores
     */
    LatentPlan(LatentCache cache, MlaQueries shape, int k, boolean tensorCores) {
        this.cache = cache;
        heads = shape.heads();
        most = Rows.room(k);
        PageMirror mirror = new MirroredLatents(cache).mirror();
        for (int rows : ROWS) {
            attends.add(tensorCores && MmaAttend.serves(shape, cache)
                    ? new MmaAttend(rows, most)
                    : new PortableAttend(rows, most, shape, MirroredLatents.format(cache.dtype())));
        }
        plan = new MirroredPlan(mirror, attends.stream().map(attend -> attend.graph(mirror)).toList());
    }

    LatentPlan start(TornadoDevice device) {
        plan.start(device);
        return this;
    }

    /** The graphs of the plan, for those who walk them without a device. */
    List<KernelGraph> graphs() {
        return plan.graphs();
    }

    boolean serves(MlaQueries queries, int k) {
        return queries.heads() == heads && k <= most;
    }

    void attend(MlaQueries queries, int[] slots, int rows, int k, float[] out) {
        plan.update();
        int result = heads * queries.latent();
        for (int from = 0; from < rows; ) {
            int graph = rows - from == 1 ? 0 : 1;
            LatentAttend attend = attends.get(graph);
            int count = Math.min(attend.rows(), rows - from);
            attend.set(queries, slots, from, count, k, cache.slots());
            plan.run(graph);
            DeviceArrays.copy(attend.out(), 0, out, from * result, count * result);
            from += count;
        }
    }

    @Override
    public void close() {
        plan.close();
    }
}
