package dev.gyre.tornado;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.tornado.graph.KernelGraph;

/** A graph that scores a number of rows at a time, and its arrays. */
interface ScoreGraph {
    /** Rows that run together at most. */
    int rows();

    /** The graph; reads the mirrored keys. */
    KernelGraph graph(PageMirror mirror);

    /** Sets what changes from run to run: the rows [from, from + count) of the call. */
    void set(IndexQueries queries, QueryRows rows, int from, int count);

    /** Copies {@code count} scores of the i-th row of the last run to {@code target[at..]}. */
    void get(int i, float[] target, int at, int count);
}
