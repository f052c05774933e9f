package dev.gyre.attention.policy;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.attention.cache.PageTable;

import java.util.Arrays;

/**
 * {@code hisa}: hierarchical indexing (arXiv 2603.28458). The indexer scores the mean key of every block of tokens, the
 * best blocks are kept, the first and the last one always, and only their tokens are scored and selected from.
 *
 * <pre>
 * K[b] = mean of k[s] over the tokens s of block b
 * J[t,b] = sum_h w[t,h] relu(q[t,h] . K[b])
 * candidates[t] = the tokens of the first block, the last block, and the blocks - 2 others with the highest J
 * selected[t] = the k candidates with the highest score
 * </pre>
 *
 * Cost of a row that sees L tokens, M = ceil(L / block) - 1 whole blocks and what is left: {@code 2 H D (M + C)}
 * operations, M means and C = L - (M + 1 - blocks) block index keys read; where all blocks are kept, no means and L
 * keys.
 *
 * <p>A block is a multiple of a page, so the candidates of a row are a page table of their own, and the same scoring
 * and selection runs over it as over a whole sequence. The last block, which may be incomplete, is a candidate anyway
 * and needs no mean.
 */
final class HisaPolicy extends IndexedPolicy {
    private final int block;
    private final int blocks;
    private final IndexScorer blockScorer;
    private final TopK blockTopK;
    private final ScoreBuffer buffer;
    private final PooledKeys.Cache pooled;
    /** Rows over block means. */
    private final QueryRows blockRows = new QueryRows();
    /** The kept blocks of each row but for the last, by their numbers. */
    private final Selection kept = new Selection();
    /** Rows over candidates, and where these lie. */
    private final QueryRows candidateRows = new QueryRows();
    private PageTable[] candidates = new PageTable[0];
    private final PageTable nothing = PooledKeys.nothing();

    HisaPolicy(PolicyParameters parameters, PolicyContext context) {
        super(parameters, context, context.sharing());
        block = parameters.wholePages("block");
        blocks = parameters.count("blocks", 2);
        // of the last block a row may see one token
        if ((blocks - 1L) * block < shape.topk()) {
            throw EngineException.usage("the selection policy " + spec() + " leaves fewer candidates than the "
                    + shape.topk() + " tokens of index_topk; use more or larger blocks.");
        }
        blockScorer = context.host().indexer();
        blockTopK = context.host().topk();
        buffer = new ScoreBuffer(context.scoreBytes());
        pooled = new PooledKeys.Cache(block);
    }

    @Override
    void choose(LayerStep step, int from, int to, Selection selection) {
        QueryRows rows = step.rows();
        for (int first = from; first < to; ) {
            boolean whole = lastBlock(rows, first) < blocks;
            int end = first + 1;
            while (end < to && lastBlock(rows, end) < blocks == whole) {
                end++;
            }
            if (whole) {
                chooseBest(step.index(), step.keys(), rows, first, end, selection);
            } else {
                keepBlocks(step, first, end);
                chooseAmongCandidates(step, first, end, selection);
            }
            first = end;
        }
    }

    private int lastBlock(QueryRows rows, int row) {
        return rows.position(row) / block;
    }

    /** Selects blocks - 1 of those before the last for each row, the first among them. */
    private void keepBlocks(LayerStep step, int from, int to) {
        QueryRows rows = step.rows();
        kept.resize(to, blocks - 1);
        blockRows.clear();
        PooledKeys[] means = new PooledKeys[rows.sequences()];
        for (int row = 0; row < from; row++) {
            blockRows.addView(nothing, 1);
        }
        for (int row = from; row < to; row++) {
            int sequence = rows.sequence(row);
            if (means[sequence] == null) {
                int end = row + 1;
                while (end < to && rows.sequence(end) == sequence) {
                    end++;
                }
                means[sequence] = pooled.of(step.keys(), rows.table(row), rows.visible(end - 1));
            }
            blockRows.addView(means[sequence].table(), lastBlock(rows, row));
        }
        for (int first = from; first < to; ) {
            int stride = blockRows.longest();
            int most = buffer.end(first, to, stride);
            int end = first + 1;
            while (end < most && rows.sequence(end) == rows.sequence(first)) {
                end++;
            }
            float[] scores = buffer.reserve(end - first, stride);
            blockScorer.score(step.index(), means[rows.sequence(first)].means(), blockRows, first, end, scores, stride);
            for (int row = first; row < end; row++) {
                scores[(row - first) * stride] = Float.POSITIVE_INFINITY; // the first block
            }
            blockTopK.select(scores, stride, blockRows, first, end, kept);
            first = end;
        }
    }

    private void chooseAmongCandidates(LayerStep step, int from, int to, Selection selection) {
        QueryRows rows = step.rows();
        reserve(to);
        candidateRows.clear();
        for (int row = 0; row < from; row++) {
            candidateRows.addView(nothing, 1);
        }
        for (int row = from; row < to; row++) {
            PageTable table = candidates[row];
            table.clear();
            for (int i = 0; i < blocks; i++) {
                int first = candidate(rows, row, i) * block;
                int end = Math.min(first + block, rows.visible(row));
                for (int page = first / PageTable.PAGE; page * PageTable.PAGE < end; page++) {
                    table.append(rows.table(row).page(page));
                }
            }
            int inLast = rows.visible(row) - lastBlock(rows, row) * block;
            candidateRows.addView(table, (blocks - 1) * block + inLast);
        }
        chooseBest(step.index(), step.keys(), candidateRows, from, to, selection);
        int[] positions = selection.positions();
        int k = selection.k();
        for (int row = from; row < to; row++) {
            for (int i = row * k; i < (row + 1) * k; i++) {
                positions[i] = candidate(rows, row, positions[i] / block) * block + positions[i] % block;
            }
        }
    }

    /** The number of the i-th block that a row keeps. */
    private int candidate(QueryRows rows, int row, int i) {
        return i == blocks - 1 ? lastBlock(rows, row) : kept.positions()[row * kept.k() + i];
    }

    private void reserve(int rows) {
        int known = candidates.length;
        if (known < rows) {
            candidates = Arrays.copyOf(candidates, rows);
            for (int row = known; row < rows; row++) {
                candidates[row] = new PageTable();
            }
        }
    }

    @Override
    public SelectionCost cost(int context) {
        int before = Math.ceilDiv(context, block) - 1;
        int left = Math.max(0, before + 1 - blocks);
        double means = left == 0 ? 0 : before;
        double tokens = context - (double) left * block;
        double operations = shape.scoreOperations(shape.indexHeads()) * (means + tokens);
        double bytes = means * shape.indexDim() * Float.BYTES + tokens * shape.indexBytes();
        return shape.choosing(operations, bytes, context).choosing(share());
    }
}
