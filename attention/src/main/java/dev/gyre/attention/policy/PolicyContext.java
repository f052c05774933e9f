package dev.gyre.attention.policy;

import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.TopK;

/**
 * What policies work with.
 *
 * @param indexer scores tokens, wherever the engine was told to
 * @param topk selects the best, wherever the engine was told to
 * @param host what runs on the engine's threads
 * @param shape of the model's layers
 * @param sharing which layers run an indexer, by the model's configuration; null where it has none
 * @param scoreBytes the most memory that scores may take at a time
 */
public record PolicyContext(
        IndexScorer indexer,
        TopK topk,
        HostOperations host,
        LayerShape shape,
        IndexSharing sharing,
        long scoreBytes) {}
