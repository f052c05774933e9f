package dev.gyre.tornado;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.IndexKeyCache;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;

/** Index scores on a device: a plan for each layer's cache, made when the layer first asks. */
final class TornadoIndexScorer implements IndexScorer {
    private final TornadoDevice device;
    private final Map<IndexKeyCache, ScorePlan> plans = new IdentityHashMap<>();
    /** Caches that will say when they close. */
    private final Set<IndexKeyCache> told = Collections.newSetFromMap(new IdentityHashMap<>());

    TornadoIndexScorer(TornadoDevice device) {
        this.device = device;
    }

    @Override
    public void score(
            IndexQueries queries,
            IndexKeyCache keys,
            QueryRows rows,
            int from,
            int to,
            float[] scores,
            int stride) {
        ScorePlan plan = plans.get(keys);
        if (plan == null || !plan.serves(queries, rows.longest())) {
            // where another plan does not fit the device, none is left to be used
            close(keys);
            plan = new ScorePlan(keys, queries, rows.longest(), Devices.hasTensorCores(device)).start(device);
            plans.put(keys, plan);
            if (told.add(keys)) {
                keys.onClose(() -> {
                    told.remove(keys);
                    close(keys);
                });
            }
        }
        try {
            plan.score(queries, rows, from, to, scores, stride);
        } catch (RuntimeException e) {
            close(keys); // a plan whose arrays are not all there must not run again
            throw e;
        }
    }

    private void close(IndexKeyCache keys) {
        ScorePlan plan = plans.remove(keys);
        if (plan != null) {
            plan.close();
        }
    }
}
