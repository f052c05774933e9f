package dev.gyre.tornado;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.IndexKeyCache;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.IdentityHashMap;
import java.util.Map;

/** Index scores on a device: a plan for each layer's cache, made when the layer first asks. */
final class TornadoIndexScorer implements IndexScorer {
    private final TornadoDevice device;
    private final Map<IndexKeyCache, ScorePlan> plans = new IdentityHashMap<>();

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
            boolean known = plan != null;
            if (known) {
                plan.close();
            }
            plan = new ScorePlan(keys, queries, rows.longest(), Devices.hasTensorCores(device)).start(device);
            plans.put(keys, plan);
            if (!known) {
                keys.onClose(() -> plans.remove(keys).close());
            }
        }
        plan.score(queries, rows, from, to, scores, stride);
    }
}
