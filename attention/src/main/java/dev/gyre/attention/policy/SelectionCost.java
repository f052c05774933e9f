package dev.gyre.attention.policy;

/**
 * What one query row costs in one layer. Operations are the multiplications and additions of dot products of queries
 * with keys and of weighted sums of latents; bytes are those read from caches. Not counted are the sum of scores over
 * index heads (one part in {@code indexDim} of its dot products), the selection of the k best, and the softmax.
 *
 * @param selectOperations of choosing tokens
 * @param selectBytes of choosing tokens
 * @param attendOperations of attending to them
 * @param attendBytes of attending to them
 */
public record SelectionCost(
        double selectOperations, double selectBytes, double attendOperations, double attendBytes) {
    /** Operations of both. */
    public double operations() {
        return selectOperations + attendOperations;
    }

    /** Bytes of both. */
    public double bytes() {
        return selectBytes + attendBytes;
    }

    /** The same with another share of the layers choosing. */
    SelectionCost choosing(double share) {
        return new SelectionCost(selectOperations * share, selectBytes * share, attendOperations, attendBytes);
    }
}
