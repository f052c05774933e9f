package dev.gyre.attention.policy;

/**
 * The numbers of a layer that costs are made of.
 *
 * @param heads attention heads
 * @param latent width of the compressed latent
 * @param rope width of the shared rotary key
 * @param indexHeads index heads; 0 where the model has no indexer
 * @param indexDim index head dimension
 * @param topk how many tokens a row attends to at most; 0 where the model has no indexer
 * @param layers layers that are run
 * @param firstLayer number in the model of the first of them
 * @param latentBytes bytes of a cached latent
 * @param indexBytes bytes of a cached index key
 */
public record LayerShape(
        int heads,
        int latent,
        int rope,
        int indexHeads,
        int indexDim,
        int topk,
        int layers,
        int firstLayer,
        int latentBytes,
        int indexBytes) {

    /** Of all layers of a model. */
    public LayerShape(
            int heads,
            int latent,
            int rope,
            int indexHeads,
            int indexDim,
            int topk,
            int layers,
            int latentBytes,
            int indexBytes) {
        this(heads, latent, rope, indexHeads, indexDim, topk, layers, 0, latentBytes, indexBytes);
    }

    /** The cost of attending to the chosen tokens, {@code heads * (2 (latent + rope) + 2 latent)} each, and no more. */
    SelectionCost attending(int tokens) {
        double operations = 2.0 * heads * (latent + rope + latent) * tokens;
        return new SelectionCost(0, 0, operations, (double) latentBytes * tokens);
    }

    /** The cost of choosing min(topk, context) tokens in this way and attending to them. */
    SelectionCost choosing(double operations, double bytes, int context) {
        if (context <= topk) {
            return attending(context); // nothing to choose
        }
        SelectionCost attending = attending(topk);
        return new SelectionCost(operations, bytes, attending.attendOperations(), attending.attendBytes());
    }

    /** Operations of the dot products of a token's index key with the queries of some index heads. */
    double scoreOperations(int heads) {
        return 2.0 * heads * indexDim;
    }
}
