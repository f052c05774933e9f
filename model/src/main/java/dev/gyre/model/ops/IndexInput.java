package dev.gyre.model.ops;

/**
 * What a layer's indexer asks.
 *
 * @param queries {@code [rows, heads * dim]}, rotated
 * @param weights {@code [rows, heads]}, scaled
 */
public record IndexInput(Tensor queries, Tensor weights, int heads, int dim) {}
