package dev.gyre.attention.policy;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.cache.PageTable;

import java.util.Arrays;

/**
 * {@code misa}: a mixture of index heads (arXiv 2605.07363). A router estimates from the mean keys of blocks how much
 * each index head would say, and only the heads that say most score the tokens.
 *
 * <pre>
 * K[b] = mean of k[s] over the tokens s of block b
 * E[t,h] = mean over b of |w[t,h] relu(q[t,h] . K[b])|
 * routed[t] = the heads with the highest E, of equals the first
 * score[t,s] = sum over routed h of w[t,h] relu(q[t,h] . k[s])
 * </pre>
 *
 * Cost of a row that sees L tokens in M = floor(L / block) complete blocks: {@code 2 D (H M + h L)} operations for h of
 * H heads, M means and L index keys read. Memory is read as by the exact indexer; what is saved is arithmetic.
 *
 * <p>The paper's M counts the incomplete block at the end too. Here the router leaves it out: its mean would be another
 * one for every row. A row that sees no complete block routes by |w| alone.
 */
final class MisaPolicy extends IndexedPolicy {
    private final int heads;
    private final int block;
    private final IndexScorer router;
    private final ScoreBuffer buffer;
    private final PooledKeys.Cache pooled;
    private final PageTable nothing = PooledKeys.nothing();
    /** A row for each head of each row, over block means. */
    private final QueryRows headRows = new QueryRows();
    private IndexQueries headQueries = new IndexQueries(null, new float[0], 1, 0);
    private IndexQueries routed = new IndexQueries(new float[0], new float[0], 0, 0);
    private final float[] energies;

    MisaPolicy(PolicyParameters parameters, PolicyContext context) {
        super(parameters, context, context.sharing());
        heads = parameters.count("heads", 1);
        block = parameters.wholePages("block");
        if (heads > shape.indexHeads()) {
            throw EngineException.usage("the selection policy " + spec() + " asks for more heads than the "
                    + shape.indexHeads() + " of the indexer.");
        }
        router = context.host().indexer();
        buffer = new ScoreBuffer(context.scoreBytes());
        pooled = new PooledKeys.Cache(block);
        energies = new float[shape.indexHeads()];
    }

    @Override
    void choose(LayerStep step, int from, int to, Selection selection) {
        QueryRows rows = step.rows();
        reserve(step.index(), to);
        headRows.clear();
        for (int i = 0; i < from * shape.indexHeads(); i++) {
            headRows.addView(nothing, 1);
        }
        for (int first = from; first < to; ) {
            int end = first + 1;
            while (end < to && rows.sequence(end) == rows.sequence(first)) {
                end++;
            }
            PooledKeys means = pooled.of(step.keys(), rows.table(first), rows.visible(end - 1));
            for (int row = first; row < end; row++) {
                for (int head = 0; head < shape.indexHeads(); head++) {
                    headRows.addView(means.table(), Math.max(1, rows.visible(row) / block));
                }
            }
            route(step, means, first, end);
            first = end;
        }
        chooseBest(routed, step.keys(), rows, from, to, selection);
    }

    /** Picks the heads of some rows of one sequence. */
    private void route(LayerStep step, PooledKeys means, int from, int to) {
        int all = shape.indexHeads();
        int stride = headRows.longest();
        for (int first = from; first < to; ) {
            int end = buffer.end(first, to, Math.multiplyExact(all, stride));
            float[] scores = buffer.reserve((end - first) * all, stride);
            router.score(headQueries, means.means(), headRows, first * all, end * all, scores, stride);
            for (int row = first; row < end; row++) {
                int complete = step.rows().visible(row) / block;
                for (int head = 0; head < all; head++) {
                    float weight = Math.abs(step.index().weights()[row * all + head]);
                    int at = ((row - first) * all + head) * stride;
                    energies[head] = complete == 0 ? weight : weight * mean(scores, at, complete);
                }
                gather(step.index(), row);
            }
            first = end;
        }
    }

    private static float mean(float[] values, int at, int count) {
        double sum = 0;
        for (int i = at; i < at + count; i++) {
            sum += values[i];
        }
        return (float) (sum / count);
    }

    /** Copies the queries and weights of the heads with the highest energies, in their order. */
    private void gather(IndexQueries asked, int row) {
        int dim = asked.dim();
        int count = 0;
        for (int head = 0; head < energies.length; head++) {
            if (rank(head) < heads) {
                int to = row * heads + count++;
                int from = row * energies.length + head;
                System.arraycopy(asked.queries(), from * dim, routed.queries(), to * dim, dim);
                routed.weights()[to] = asked.weights()[from];
            }
        }
    }

    /** How many heads come before this one. */
    private int rank(int head) {
        int before = 0;
        for (int other = 0; other < energies.length; other++) {
            int order = Float.compare(energies[other], energies[head]);
            before += order > 0 || order == 0 && other < head ? 1 : 0;
        }
        return before;
    }

    private void reserve(IndexQueries asked, int rows) {
        int dim = asked.dim();
        if (headQueries.queries() != asked.queries() || headQueries.weights().length < rows * asked.heads()) {
            float[] ones = new float[Math.multiplyExact(rows, asked.heads())];
            Arrays.fill(ones, 1f);
            headQueries = new IndexQueries(asked.queries(), ones, 1, dim);
        }
        if (routed.weights().length < rows * heads) {
            routed = new IndexQueries(
                    new float[Math.multiplyExact(rows * heads, dim)], new float[rows * heads], heads, dim);
        }
    }

    @Override
    public SelectionCost cost(int context) {
        double means = context / block;
        double operations = shape.scoreOperations(shape.indexHeads()) * means + shape.scoreOperations(heads) * context;
        double bytes = means * shape.indexDim() * Float.BYTES + (double) context * shape.indexBytes();
        return shape.choosing(operations, bytes, context).choosing(share());
    }
}
