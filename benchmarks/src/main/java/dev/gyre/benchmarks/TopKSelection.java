package dev.gyre.benchmarks;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.Resources;
import dev.gyre.attention.cache.PagePool;
import dev.gyre.attention.cache.PageTable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

import java.util.Arrays;

/** The best 2048 of a row; the reference sorts the whole row. */
@State(Scope.Benchmark)
public class TopKSelection {
    static final int K = 2048;

    /** Who computes. */
    @Param({"reference", "vector"})
    public String implementation;

    /** Scores in the row. */
    @Param({"4096", "32768", "131072"})
    public int length;

    /** What the scores are like: all different, or half of them exact zeros, as relu makes them. */
    @Param({"normal", "zeros"})
    public String scoreKind;

    private WorkerPool pool;
    private QueryRows rows;
    private TopK topk;
    private float[] scores;
    private final Selection selection = new Selection();

    /** Makes the row and checks the selection. */
    @Setup
    public void setUp() {
        pool = new WorkerPool(Inputs.threads());
        PageTable table = new PageTable();
        new PagePool(length / PageTable.PAGE).reserve(table, length);
        rows = new QueryRows();
        rows.add(table, length - 1, length);
        scores = Inputs.normal(length, 4);
        for (int i = 0; i < length && scoreKind.equals("zeros"); i++) {
            // fewer than k are above zero, so the boundary falls among the zeros
            scores[i] = scores[i] > 2.6f ? scores[i] : i % 2 == 0 ? 0f : -Math.abs(scores[i]);
        }
        selection.resize(1, K);
        Inputs.provider("reference").topK(Resources.of(pool)).select(scores, length, rows, 0, 1, selection);
        int[] expected = selection.positions().clone();
        topk = Inputs.provider(implementation).topK(Resources.of(pool));
        select();
        if (!Arrays.equals(expected, selection.positions())) {
            throw new IllegalStateException("wrong selection");
        }
    }

    /** Ends the threads. */
    @TearDown
    public void tearDown() {
        pool.close();
    }

    /** One row. */
    @Benchmark
    public Selection select() {
        topk.select(scores, length, rows, 0, 1, selection);
        return selection;
    }
}
