package dev.gyre.attention.backend;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.attention.cache.LatentCache;

/**
 * {@code dsa}: DeepSeek Sparse Attention. The indexer scores what each row sees, the best topk are attended. Rows that
 * see no more than topk tokens select everything without being scored.
 */
final class SparseBackend implements AttentionBackend {
    private final Implementations implementations;
    private final long scoreBytes;
    private final Selection selection = new Selection();
    private float[] scores = new float[0];

    /** @param scoreBytes the most memory that the scores of a group of rows may take */
    SparseBackend(Implementations implementations, long scoreBytes) {
        this.implementations = implementations;
        this.scoreBytes = scoreBytes;
    }

    @Override
    public boolean usesIndexer() {
        return true;
    }

    @Override
    public void attend(
            MlaQueries queries,
            LatentCache latents,
            IndexQueries index,
            IndexKeyCache keys,
            QueryRows rows,
            float[] out,
            SelectionListener listener) {
        if (rows.longest() <= index.topk()) {
            DenseBackend.attendToAll(implementations, queries, latents, rows, out, listener);
            return;
        }
        selection.resize(rows.rows(), index.topk());
        for (int row = 0; row < rows.rows(); ) {
            if (rows.visible(row) <= index.topk()) {
                selection.selectAll(rows, row++);
            } else {
                row = scoreAndSelect(index, keys, rows, row);
            }
        }
        LatentAttention attention = rows.isDecode() ? implementations.decode() : implementations.prefill();
        attention.sparse(queries, latents, selection.slots(), rows.rows(), index.topk(), out);
        listener.selected(rows, selection);
    }

    /** Serves the rows from {@code from} on that need scores, as many as the budget holds; returns the next row. */
    private int scoreAndSelect(IndexQueries index, IndexKeyCache keys, QueryRows rows, int from) {
        int stride = rows.longest();
        long fitting = Math.min(scoreBytes / Float.BYTES, Integer.MAX_VALUE - 8L) / stride;
        if (fitting == 0) {
            throw new EngineException("--score-buffer of " + scoreBytes + " bytes is too small for one row of "
                    + stride + " tokens; give it at least " + (long) stride * Float.BYTES + " bytes.");
        }
        int to = from + 1;
        while (to < rows.rows() && to - from < fitting && rows.visible(to) > index.topk()) {
            to++;
        }
        int size = (to - from) * stride;
        if (scores.length < size) {
            // a decode row grows by one token a step: leave room, so that not every step allocates
            scores = new float[(int) Math.min(Math.max(size, size + size / 4L), fitting * stride)];
        }
        implementations.indexer().score(index, keys, rows, from, to, scores, stride);
        implementations.topk().select(scores, stride, rows, from, to, selection);
        return to;
    }
}
