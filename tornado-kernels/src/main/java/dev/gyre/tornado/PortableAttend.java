package dev.gyre.tornado;

import dev.gyre.attention.MlaQueries;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.MlaKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Attention with {@link MlaKernels}: any device, any cache dtype, f32 arithmetic. */
final class PortableAttend implements LatentAttend {
    private final int rows;
    private final int heads;
    private final int format;
    private final IntArray meta = DeviceArrays.ints(7);
    private final FloatArray factors = DeviceArrays.floats(1);
    private final FloatArray table = Decode.table();
    private final IntArray selected;
    private final FloatArray queries;
    private final FloatArray out;

    /** @param most the longest selection */
    PortableAttend(int rows, int most, MlaQueries shape, int format) {
        this.rows = rows;
        this.format = format;
        heads = shape.heads();
        selected = DeviceArrays.ints(Math.multiplyExact(rows, most));
        queries = DeviceArrays.floats(rows * heads * shape.width());
        out = DeviceArrays.floats(rows * heads * shape.latent());
    }

    @Override
    public int rows() {
        return rows;
    }

    @Override
    public KernelGraph graph(PageMirror mirror) {
        IntArray bits = mirror.ints();
        FloatArray floats = mirror.floats();
        return new KernelGraph("attend" + rows)
                .from(PageMirror.GRAPH, bits, floats)
                .once(table, out)
                .always(meta, factors, selected, queries)
                .then(Call.of("sparse", rows * heads, MlaKernels.BLOCK, MlaKernels.LOCAL_BYTES)
                        .kernel(MlaKernels::kSparse, meta, factors, selected, queries, bits, floats, table, out))
                .results(out);
    }

    @Override
    public void set(MlaQueries asked, int[] slots, int from, int count, int k, int cacheSlots) {
        int[] values = {count, heads, asked.latent(), asked.rope(), k, cacheSlots, format};
        DeviceArrays.copy(values, 0, meta, 0, values.length);
        factors.set(0, asked.scale());
        DeviceArrays.copy(slots, from * k, selected, 0, count * k);
        int query = heads * asked.width();
        DeviceArrays.copy(asked.queries(), from * query, queries, 0, count * query);
    }

    @Override
    public FloatArray out() {
        return out;
    }
}
