package dev.gyre.tornado;

import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.LatentCache;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;

/** Latent attention on a device: a plan for each layer's cache, made when the layer first asks. */
final class TornadoLatentAttention implements LatentAttention {
    private final TornadoDevice device;
    private final Map<LatentCache, LatentPlan> plans = new IdentityHashMap<>();
    /** Caches that will say when they close. */
    private final Set<LatentCache> told = Collections.newSetFromMap(new IdentityHashMap<>());
    private int[] everything = new int[0];

    TornadoLatentAttention(TornadoDevice device) {
        this.device = device;
    }

    @Override
    public void sparse(MlaQueries queries, LatentCache cache, int[] slots, int rows, int k, float[] out) {
        LatentPlan plan = plans.get(cache);
        if (plan == null || !plan.serves(queries, k)) {
            // where another plan does not fit the device, none is left to be used
            close(cache);
            plan = new LatentPlan(cache, queries, k, Devices.hasTensorCores(device)).start(device);
            plans.put(cache, plan);
            if (told.add(cache)) {
                cache.onClose(() -> {
                    told.remove(cache);
                    close(cache);
                });
            }
        }
        try {
            plan.attend(queries, slots, rows, k, out);
        } catch (RuntimeException e) {
            close(cache); // a plan whose arrays are not all there must not run again
            throw e;
        }
    }

    private void close(LatentCache cache) {
        LatentPlan plan = plans.remove(cache);
        if (plan != null) {
            plan.close();
        }
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
