package dev.gyre.tornado;

import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.AppendKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Ops.append on the device: rows that are normalised and rotated already, into the mirrored cache. */
final class AppendRows {
    private final Rows rows;
    private final int coded;
    private final int plain;
    private final int format;
    private final boolean key;
    private final IntArray meta = DeviceArrays.ints(6);
    private final IntArray values;

    private AppendRows(Rows rows, int coded, int plain, int format, boolean key) {
        this.rows = rows;
        this.coded = coded;
        this.plain = plain;
        this.format = format;
        this.key = key;
        values = DeviceArrays.ints(Math.multiplyExact(rows.capacity(), coded + plain));
    }

    /** Appends latents. */
    static AppendRows latents(Rows rows, MirroredLatents cache) {
        int format = MirroredLatents.format(cache.cache().dtype());
        return new AppendRows(rows, cache.cache().shape().latent(), cache.cache().shape().rope(), format, false);
    }

    /** Appends index keys. */
    static AppendRows keys(Rows rows, MirroredKeys cache) {
        int format = MirroredLatents.format(cache.cache().dtype());
        return new AppendRows(rows, cache.cache().dim(), 0, format, true);
    }

    /** {@code [capacity, latent + rope]} or {@code [capacity, dim]}: bits of f32. */
    IntArray values() {
        return values;
    }

    /** How many rows the next run has. */
    void set(int count) {
        int[] numbers = {count, coded, plain, format, rows.stride(), key ? 1 : 0};
        DeviceArrays.copy(numbers, 0, meta, 0, numbers.length);
    }

    /** A graph of this call alone, behind the mirror's own. */
    KernelGraph graph(PageMirror mirror) {
        IntArray bits = mirror.ints();
        FloatArray floats = mirror.floats();
        return new KernelGraph((key ? "appendKeys" : "appendLatents") + rows.capacity())
                .from(PageMirror.GRAPH, bits, floats)
                .always(meta, rows.visible(), rows.tables(), values)
                .then(Call.of("append", rows.capacity(), AppendKernels.BLOCK, AppendKernels.LOCAL_BYTES)
                        .kernel(AppendKernels::kAppend, meta, rows.visible(), rows.tables(), values, bits, floats))
                .keep(bits, floats);
    }
}
