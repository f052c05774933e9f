package dev.gyre.tornado;

import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.cache.LatentCache;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.MlaKernels;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.ArrayList;
import java.util.List;

/** The attention of one layer on the device: the mirrored cache, and a graph for each number of rows at a time. */
final class LatentPlan implements AutoCloseable {
    private final LatentCache cache;
    private final int heads;
    private final int most;
    private final PageMirror mirror;
    private final List<Attend> attends = new ArrayList<>();
    private DevicePlan plan;

    /** Rows that run together: one for a decode step, more for prompts. */
    private static final int[] ROWS = {1, 16};

    /** Arrays of a graph that serves up to {@code rows} rows. */
    private static final class Attend {
        final int rows;
        final IntArray meta = DeviceArrays.ints(7);
        final FloatArray factors = DeviceArrays.floats(1);
        final IntArray slots;
        final FloatArray queries;
        final FloatArray out;

        Attend(int rows, int most, MlaQueries shape) {
            this.rows = rows;
            slots = DeviceArrays.ints(Math.multiplyExact(rows, most));
            queries = DeviceArrays.floats(rows * shape.heads() * shape.width());
            out = DeviceArrays.floats(rows * shape.heads() * shape.latent());
        }

        KernelGraph graph(PageMirror mirror, int heads) {
            FloatArray table = Decode.table();
            IntArray bits = mirror.ints();
            FloatArray floats = mirror.floats();
            return new KernelGraph("attend" + rows)
                    .from(PageMirror.GRAPH, bits, floats)
                    .once(table, out)
                    .always(meta, factors, slots, queries)
                    .then(Call.of("sparse", rows * heads, MlaKernels.BLOCK, MlaKernels.LOCAL_BYTES)
                            .kernel(MlaKernels::kSparse, meta, factors, slots, queries, bits, floats, table, out))
                    .results(out);
        }
    }

    /** Arrays alone; {@link #start} brings them to a device. */
    LatentPlan(LatentCache cache, MlaQueries shape, int k) {
        this.cache = cache;
        heads = shape.heads();
        most = Rows.room(k);
        mirror = new MirroredLatents(cache).mirror();
        for (int rows : ROWS) {
            attends.add(new Attend(rows, most, shape));
        }
    }

    LatentPlan start(TornadoDevice device) {
        plan = new DevicePlan(device, graphs());
        mirror.forget(plan, 0);
        return this;
    }

    /** The graphs of the plan, the mirror's first. */
    List<KernelGraph> graphs() {
        List<KernelGraph> graphs = new ArrayList<>(List.of(mirror.graph()));
        attends.forEach(attend -> graphs.add(attend.graph(mirror, heads)));
        return graphs;
    }

    boolean serves(MlaQueries queries, int k) {
        return queries.heads() == heads && k <= most;
    }

    void attend(MlaQueries queries, int[] slots, int rows, int k, float[] out) {
        mirror.update(plan, 0);
        for (int from = 0; from < rows; ) {
            int graph = rows - from == 1 ? 0 : 1;
            Attend attend = attends.get(graph);
            int count = Math.min(attend.rows, rows - from);
            int[] meta = {count, heads, queries.latent(), queries.rope(), k, cache.slots(),
                MirroredLatents.format(cache.dtype())};
            DeviceArrays.copy(meta, 0, attend.meta, 0, meta.length);
            attend.factors.set(0, queries.scale());
            DeviceArrays.copy(slots, from * k, attend.slots, 0, count * k);
            int query = heads * queries.width();
            DeviceArrays.copy(queries.queries(), from * query, attend.queries, 0, count * query);
            plan.run(1 + graph);
            int result = heads * queries.latent();
            DeviceArrays.copy(attend.out, 0, out, from * result, count * result);
            from += count;
        }
    }

    @Override
    public void close() {
        plan.close();
    }
}
