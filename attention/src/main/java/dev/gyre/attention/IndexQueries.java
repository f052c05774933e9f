package dev.gyre.attention;

/**
 * What the lightning indexer asks: queries and head weights of a step, and how many tokens to keep.
 *
 * @param queries {@code [rows, heads, dim]}, after RoPE
 * @param weights {@code [rows, heads]}, with heads^-0.5 * dim^-0.5 multiplied in
 * @param heads index heads
 * @param dim index head dimension
 * @param topk how many tokens each row selects at most
 */
public record IndexQueries(float[] queries, float[] weights, int heads, int dim, int topk) {}
