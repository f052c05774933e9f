package dev.gyre.attention.policy;

import dev.gyre.attention.AttentionMass;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;

import java.util.stream.IntStream;

/**
 * {@code oracle}: the k tokens with the largest true attention mass, {@code mean over heads of softmax(scale * q . c)}
 * over all that a row sees. No selection of k tokens that all heads share keeps more; DeepSeek trains the indexer
 * towards it (arXiv 2512.02556, section 2.1.1).
 *
 * <p>Cost of a row that sees L tokens: {@code 2 A (latent + rope) L} operations for A attention heads and L latents
 * read, about what dense attention costs: a bound, not a method.
 */
final class OraclePolicy extends TopKPolicy {
    private final AttentionMass mass;
    private final TopK topk;
    private final ScoreBuffer buffer;

    OraclePolicy(PolicyParameters parameters, PolicyContext context) {
        super(parameters, context);
        mass = context.host().mass();
        topk = context.host().topk();
        buffer = new ScoreBuffer(context.scoreBytes());
    }

    @Override
    void choose(LayerStep step, int from, int to, Selection selection) {
        int stride = step.rows().longest();
        for (int first = from; first < to; ) {
            int end = buffer.end(first, to, stride);
            float[] scores = buffer.reserve(end - first, stride);
            int[] chosen = IntStream.range(first, end).toArray();
            mass.mass(step.queries(), step.latents(), step.rows(), chosen, chosen.length, scores, stride);
            topk.select(scores, stride, step.rows(), first, end, selection);
            first = end;
        }
    }

    @Override
    public SelectionCost cost(int context) {
        double operations = 2.0 * shape.heads() * (shape.latent() + shape.rope()) * context;
        return shape.choosing(operations, (double) shape.latentBytes() * context, context);
    }
}
