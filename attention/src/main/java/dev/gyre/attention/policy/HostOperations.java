package dev.gyre.attention.policy;

import dev.gyre.attention.AttentionMass;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.TopK;

/**
 * Operations on the engine's threads, whichever device computes the others: of pooled keys, which are few and not in
 * the caches, and of measurements.
 *
 * @param indexer scores pooled keys
 * @param topk selects among them
 * @param mass where attention goes
 */
public record HostOperations(IndexScorer indexer, TopK topk, AttentionMass mass) {}
