package dev.gyre.attention;

/**
 * What the lightning indexer asks: queries and head weights of a step.
 *
 * @param queries {@code [rows, heads, dim]}, after RoPE
 * @param weights {@code [rows, heads]}, with heads^-0.5 * dim^-0.5 multiplied in
 * @param heads index heads
 * @param dim index head dimension
 */
public record IndexQueries(float[] queries, float[] weights, int heads, int dim) {}
