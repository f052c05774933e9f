package dev.gyre.attention.vector;

import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.LatentCache;

import java.util.Arrays;

/**
 * Absorbed MLA in blocks of 64 tokens with an online softmax (arXiv 2205.14135): scores of all heads with a block, the
 * running maximum, and the weighted sum of its latents. A task is a query row, or some of its heads where rows are few.
 */
public final class VectorLatentAttention implements LatentAttention, WorkerPool.Task {
    private final WorkerPool pool;
    private final TokenBlock[] blocks;
    private final BlockAttention[] attentions;
    private MlaQueries queries;
    private LatentCache cache;
    private int[] slots;
    private int k;
    private QueryRows rows;
    private float[] out;
    private int groups;

    /** @param pool the threads that share rows and heads */
    public VectorLatentAttention(WorkerPool pool) {
        this.pool = pool;
        blocks = new TokenBlock[pool.threads()];
        attentions = new BlockAttention[pool.threads()];
        Arrays.setAll(blocks, i -> new TokenBlock());
        Arrays.setAll(attentions, i -> new BlockAttention());
    }

    @Override
    public void sparse(MlaQueries queries, LatentCache cache, int[] slots, int rows, int k, float[] out) {
        this.slots = slots;
        this.k = k;
        this.rows = null;
        start(queries, cache, rows, out);
    }

    @Override
    public void dense(MlaQueries queries, LatentCache cache, QueryRows rows, float[] out) {
        this.rows = rows;
        start(queries, cache, rows.rows(), out);
    }

    private void start(MlaQueries queries, LatentCache cache, int rowCount, float[] out) {
        this.queries = queries;
        this.cache = cache;
        this.out = out;
        // every group decodes the tokens anew, so there are only as many as keep the threads busy
        int tiles = Math.ceilDiv(queries.heads(), tile());
        int wanted = rowCount >= 2 * pool.threads() || pool.threads() == 1 ? 1 : pool.threads();
        groups = Math.min(tiles, wanted);
        pool.run(Math.multiplyExact(rowCount, groups), this);
    }

    /** Heads that stay together: how a head's sums run must not depend on where the groups are cut. */
    private int tile() {
        return queries.heads() < BlockScores.TILE ? BlockAttention.HEADS : BlockScores.TILE;
    }

    @Override
    public void run(int index, int worker) {
        int row = index / groups;
        int group = index % groups;
        int tiles = Math.ceilDiv(queries.heads(), tile());
        int first = tiles * group / groups * tile();
        int end = Math.min(queries.heads(), tiles * (group + 1) / groups * tile());
        TokenBlock block = blocks[worker];
        BlockAttention attention = attentions[worker];
        attention.begin(queries, row, first, end, out);
        int count = rows == null ? k : rows.visible(row);
        for (int from = 0; from < count; from += TokenBlock.SIZE) {
            block.begin(cache);
            int to = Math.min(from + TokenBlock.SIZE, count);
            for (int i = from; i < to; i++) {
                block.add(rows == null ? slots[row * k + i] : rows.slot(row, i));
            }
            if (block.count() > 0) {
                attention.add(block);
            }
        }
        attention.finish();
    }
}
