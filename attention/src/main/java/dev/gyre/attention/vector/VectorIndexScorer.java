package dev.gyre.attention.vector;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.attention.simd.Lanes;

import java.util.Arrays;

import jdk.incubator.vector.FloatVector;

/**
 * Index scores with lanes along the keys of a page, so that no sum runs across lanes: four heads times two vectors of
 * keys are in registers, and relu, head weight and the sum over heads follow there.
 *
 * <p>A task is a few rows of one sequence times a few pages; a page is decoded once for all heads and rows of the task.
 */
public final class VectorIndexScorer implements IndexScorer, WorkerPool.Task {
    /** Rows of a task: what decoding a page is spread over. */
    private static final int ROWS = 16;
    /** Pages of a task. */
    private static final int PAGES = 8;

    private final WorkerPool pool;
    private final float[][] pages;
    private final float[][] results;
    private IndexQueries queries;
    private IndexKeyCache keys;
    private QueryRows rows;
    private int from;
    private float[] scores;
    private int stride;
    private int pageGroups;
    /** First rows of the blocks, and the end. */
    private int[] blocks = new int[16];

    /** @param pool the threads that share rows and pages */
    public VectorIndexScorer(WorkerPool pool) {
        this.pool = pool;
        pages = new float[pool.threads()][0];
        results = new float[pool.threads()][PageTable.PAGE];
    }

    @Override
    public void score(
            IndexQueries queries,
            IndexKeyCache keys,
            QueryRows rows,
            int from,
            int to,
            float[] scores,
            int stride) {
        this.queries = queries;
        this.keys = keys;
        this.rows = rows;
        this.from = from;
        this.scores = scores;
        this.stride = stride;
        int count = cutBlocks(from, to);
        pageGroups = Math.ceilDiv(stride, PageTable.PAGE * PAGES);
        for (int worker = 0; worker < pages.length; worker++) {
            if (pages[worker].length < queries.dim() * PageTable.PAGE) {
                pages[worker] = new float[queries.dim() * PageTable.PAGE];
            }
        }
        pool.run(Math.multiplyExact(count, pageGroups), this);
    }

    /** Cuts the rows into blocks of one sequence each; returns how many. */
    private int cutBlocks(int from, int to) {
        int count = 0;
        for (int row = from; row < to; ) {
            int end = row + 1;
            while (end < to && end - row < ROWS && rows.sequence(end) == rows.sequence(row)) {
                end++;
            }
            if (count + 2 > blocks.length) {
                blocks = Arrays.copyOf(blocks, blocks.length * 2);
            }
            blocks[count++] = row;
            row = end;
        }
        blocks[count] = to;
        return count;
    }

    @Override
    public void run(int index, int worker) {
        int first = blocks[index / pageGroups];
        int end = blocks[index / pageGroups + 1];
        int firstPage = index % pageGroups * PAGES;
        int visible = rows.visible(end - 1); // rows of a block see more and more
        PageTable table = rows.table(first);
        float[] page = pages[worker];
        float[] result = results[worker];
        for (int p = firstPage; p < firstPage + PAGES && p * PageTable.PAGE < visible; p++) {
            KeyPages.decode(keys, table.page(p), page);
            int position = p * PageTable.PAGE;
            for (int row = first; row < end; row++) {
                int count = Math.min(PageTable.PAGE, rows.visible(row) - position);
                if (count > 0) {
                    scorePage(row, page, result, count);
                    System.arraycopy(result, 0, scores, (row - from) * stride + position, count);
                }
            }
        }
    }

    /** Scores of one row for the first {@code count} keys of a page {@code [dim, 64]}. */
    private void scorePage(int row, float[] page, float[] result, int count) {
        int heads = queries.heads();
        int dim = queries.dim();
        float[] q = queries.queries();
        float[] w = queries.weights();
        int weight = row * heads;
        FloatVector zero = FloatVector.zero(Lanes.FLOATS);
        for (int s = 0; s < count; s += 2 * Lanes.COUNT) {
            FloatVector sum0 = zero;
            FloatVector sum1 = zero;
            int head = 0;
            for (; head + 4 <= heads; head += 4) {
                int q0 = (row * heads + head) * dim;
                int q1 = q0 + dim;
                int q2 = q1 + dim;
                int q3 = q2 + dim;
                FloatVector a00 = zero;
                FloatVector a01 = zero;
                FloatVector a10 = zero;
                FloatVector a11 = zero;
                FloatVector a20 = zero;
                FloatVector a21 = zero;
                FloatVector a30 = zero;
                FloatVector a31 = zero;
                for (int d = 0; d < dim; d++) {
                    FloatVector k0 = FloatVector.fromArray(Lanes.FLOATS, page, d * PageTable.PAGE + s);
                    FloatVector k1 = FloatVector.fromArray(Lanes.FLOATS, page, d * PageTable.PAGE + s + Lanes.COUNT);
                    FloatVector x0 = FloatVector.broadcast(Lanes.FLOATS, q[q0 + d]);
                    a00 = x0.fma(k0, a00);
                    a01 = x0.fma(k1, a01);
                    FloatVector x1 = FloatVector.broadcast(Lanes.FLOATS, q[q1 + d]);
                    a10 = x1.fma(k0, a10);
                    a11 = x1.fma(k1, a11);
                    FloatVector x2 = FloatVector.broadcast(Lanes.FLOATS, q[q2 + d]);
                    a20 = x2.fma(k0, a20);
                    a21 = x2.fma(k1, a21);
                    FloatVector x3 = FloatVector.broadcast(Lanes.FLOATS, q[q3 + d]);
                    a30 = x3.fma(k0, a30);
                    a31 = x3.fma(k1, a31);
                }
                sum0 = weigh(a00, w[weight + head], sum0);
                sum1 = weigh(a01, w[weight + head], sum1);
                sum0 = weigh(a10, w[weight + head + 1], sum0);
                sum1 = weigh(a11, w[weight + head + 1], sum1);
                sum0 = weigh(a20, w[weight + head + 2], sum0);
                sum1 = weigh(a21, w[weight + head + 2], sum1);
                sum0 = weigh(a30, w[weight + head + 3], sum0);
                sum1 = weigh(a31, w[weight + head + 3], sum1);
            }
            for (; head < heads; head++) {
                int q0 = (row * heads + head) * dim;
                FloatVector a0 = zero;
                FloatVector a1 = zero;
                for (int d = 0; d < dim; d++) {
                    FloatVector x = FloatVector.broadcast(Lanes.FLOATS, q[q0 + d]);
                    a0 = x.fma(FloatVector.fromArray(Lanes.FLOATS, page, d * PageTable.PAGE + s), a0);
                    a1 = x.fma(FloatVector.fromArray(Lanes.FLOATS, page, d * PageTable.PAGE + s + Lanes.COUNT), a1);
                }
                sum0 = weigh(a0, w[weight + head], sum0);
                sum1 = weigh(a1, w[weight + head], sum1);
            }
            sum0.intoArray(result, s);
            sum1.intoArray(result, s + Lanes.COUNT);
        }
    }

    private static FloatVector weigh(FloatVector dot, float weight, FloatVector sum) {
        return dot.max(0f).fma(FloatVector.broadcast(Lanes.FLOATS, weight), sum);
    }
}
