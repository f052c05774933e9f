package dev.gyre.tornado;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.IndexKeyCache;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

/** Index scores on a device, with a plan for each layer. */
final class TornadoIndexScorer implements IndexScorer {
    private final TornadoDevice device;
    private final LayerPlans<IndexKeyCache, ScorePlan> plans = new LayerPlans<>(IndexKeyCache::onClose);

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
        plans.with(
                keys,
                plan -> plan.serves(queries, rows.longest()),
                () -> new ScorePlan(keys, queries, rows.longest(), Devices.hasTensorCores(device)).start(device),
                plan -> plan.score(queries, rows, from, to, scores, stride));
    }
}
