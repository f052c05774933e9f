package dev.gyre.attention;

import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.attention.cache.LatentCache;

/**
 * What one layer brings to attention in a step.
 *
 * @param layer its number
 * @param rows the query rows of the step
 * @param queries what attention asks
 * @param latents the layer's, those of the rows' own tokens included
 * @param index what the indexer asks; null where the layer does not run one
 * @param keys the layer's index keys; null where the layer does not run an indexer
 */
public record LayerStep(
        int layer,
        QueryRows rows,
        MlaQueries queries,
        LatentCache latents,
        IndexQueries index,
        IndexKeyCache keys) {}
