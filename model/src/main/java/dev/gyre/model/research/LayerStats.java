package dev.gyre.model.research;

/**
 * What the selections of a layer kept, on average over the rows that were measured.
 *
 * @param layer its number
 * @param rows how many rows were measured
 * @param recall the share of the indexer's exact selection that was selected; NaN where the layer ran no indexer or no
 *     row was measured
 * @param mass the share of the attention mass over all visible tokens that falls on selected ones, the mean over heads;
 *     NaN where no row was measured
 */
public record LayerStats(int layer, long rows, double recall, double mass) {}
