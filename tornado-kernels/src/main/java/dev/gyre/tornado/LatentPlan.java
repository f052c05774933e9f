package dev.gyre.tornado;

import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.cache.LatentCache;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.ArrayList;
import java.util.List;

/** The attention of one layer on the device: the mirrored cache, and a graph for each number of rows at a time. */
final class LatentPlan implements AutoCloseable {
    /** Rows that run together: one for a decode step, more for prompts. */
    private static final int[] ROWS = {1, 16};

    private final LatentCache cache;
    private final int heads;
    private final int most;
    private final PageMirror mirror;
    private final List<LatentAttend> attends = new ArrayList<>();
    private DevicePlan plan;

    /**
     * Arrays alone; {@link #start} brings them to a device.
     *
     * @param tensorCores whether the device has NVIDIA's tensor cores
     */
    LatentPlan(LatentCache cache, MlaQueries shape, int k, boolean tensorCores) {
        this.cache = cache;
        heads = shape.heads();
        most = Rows.room(k);
        mirror = new MirroredLatents(cache).mirror();
        for (int rows : ROWS) {
            attends.add(tensorCores && MmaAttend.serves(shape, cache)
                    ? new MmaAttend(rows, most)
                    : new PortableAttend(rows, most, shape, MirroredLatents.format(cache.dtype())));
        }
    }

    LatentPlan start(TornadoDevice device) {
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
        attends.forEach(attend -> graphs.add(attend.graph(mirror)));
        return graphs;
    }

    boolean serves(MlaQueries queries, int k) {
        return queries.heads() == heads && k <= most;
    }

    void attend(MlaQueries queries, int[] slots, int rows, int k, float[] out) {
        mirror.update(plan, 0);
        int result = heads * queries.latent();
        for (int from = 0; from < rows; ) {
            int graph = rows - from == 1 ? 0 : 1;
            LatentAttend attend = attends.get(graph);
            int count = Math.min(attend.rows(), rows - from);
            attend.set(queries, slots, from, count, k, cache.slots());
            plan.run(1 + graph);
            DeviceArrays.copy(attend.out(), 0, out, from * result, count * result);
            from += count;
        }
    }

    @Override
    public void close() {
        plan.close();
    }
}
