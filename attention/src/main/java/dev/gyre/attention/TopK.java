package dev.gyre.attention;

/**
 * Top-k selection with one order everywhere: higher score first, and of equal scores the lower position. The relu of
 * the indexer makes many exact zeros, so the boundary often falls in a tie; this order makes the result deterministic.
 * Positive and negative zero are equal, and NaN is below every number.
 */
public interface TopK {
    /**
     * Selects the best {@code selection.k()} of the tokens that each of the rows [from, to) sees.
     *
     * @param scores as {@link IndexScorer#score} wrote them
     * @param selection resized by the caller; the rows [from, to) are set, positions ascending
     */
    void select(float[] scores, int stride, QueryRows rows, int from, int to, Selection selection);
}
