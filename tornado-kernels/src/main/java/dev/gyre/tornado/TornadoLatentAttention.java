package dev.gyre.tornado;

import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.LatentCache;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.Arrays;

/** Latent attention on a device, with a plan for each layer. */
final class TornadoLatentAttention implements LatentAttention {
    private final TornadoDevice device;
    private final LayerPlans<LatentCache, LatentPlan> plans = new LayerPlans<>(LatentCache::onClose);
    private int[] everything = new int[0];

    TornadoLatentAttention(TornadoDevice device) {
        this.device = device;
    }

    @Override
    public void sparse(MlaQueries queries, LatentCache cache, int[] slots, int rows, int k, float[] out) {
        plans.with(
                cache,
                plan -> plan.serves(queries, k),
                () -> new LatentPlan(cache, queries, k, Devices.hasTensorCores(device)).start(device),
                plan -> plan.attend(queries, slots, rows, k, out));
    }

    /** Everything that a row sees is a selection too. */
    @Override
    public void dense(MlaQueries queries, LatentCache cache, QueryRows rows, float[] out) {
        int k = rows.longest();
        int size = Math.multiplyExact(rows.rows(), k);
        if (everything.length < size) {
            everything = new int[size];
        }
        Arrays.fill(everything, 0, size, -1);
        for (int row = 0; row < rows.rows(); row++) {
            for (int position = 0; position < rows.visible(row); position++) {
                everything[row * k + position] = rows.slot(row, position);
            }
        }
        sparse(queries, cache, everything, rows.rows(), k, out);
    }
}
