package dev.gyre.attention.hisparse;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What hot buffers did, over all layers and sequences. A token of the step under way was just computed: the first time
 * that it is asked for it counts as hot and as no bytes.
 *
 * @param selected latents that attention asked for: the tokens that each row selected, in each layer
 * @param hits those that were hot
 * @param evictions latents that had to go for others
 * @param bytesFetched bytes copied from the store
 */
public record HiSparseStats(long selected, long hits, long evictions, long bytesFetched) {
    /** Nothing was asked for yet. */
    public static final HiSparseStats NONE = new HiSparseStats(0, 0, 0, 0);

    /** The share of what was asked for that was hot; 0 where nothing was. */
    public double hitRate() {
        return selected == 0 ? 0 : (double) hits / selected;
    }

    /** All of it and the hit rate, by the names that JSON gives them. */
    public Map<String, Object> fields() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("selected", selected);
        fields.put("hits", hits);
        fields.put("hit_rate", hitRate());
        fields.put("evictions", evictions);
        fields.put("bytes_fetched", bytesFetched);
        return fields;
    }

    /** What came after these. */
    public HiSparseStats since(HiSparseStats before) {
        return new HiSparseStats(
                selected - before.selected,
                hits - before.hits,
                evictions - before.evictions,
                bytesFetched - before.bytesFetched);
    }
}
