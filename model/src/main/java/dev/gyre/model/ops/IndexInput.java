package dev.gyre.model.ops;

/**
 * What a layer's indexer asks.
 *
 * @param queries {@code [rows, heads * dim]}, rotated
 * @param weights {@code [rows, heads]}, scaled
 * @param topk how many tokens a row selects at most
 */
public record IndexInput(Tensor queries, Tensor weights, int heads, int dim, int topk) {}
