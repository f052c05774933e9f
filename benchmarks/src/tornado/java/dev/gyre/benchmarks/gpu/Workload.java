package dev.gyre.benchmarks.gpu;

import dev.gyre.tornado.graph.Call;

import java.util.List;

/** A kernel, or several that follow one another, at a given shape, with inputs and a check of what came out. */
interface Workload {
    /** A kernel that is still to be given its name in a graph. */
    interface Kernel {
        Call named(String id);
    }

    /** What the tables call it. */
    String name();

    /** In the order in which they run. */
    List<Kernel> kernels();

    /** Arrays that are sent to the device once. */
    List<Object> resident();

    /** Int and float arrays that {@link #mistake} looks at; filled with NaN before every run. */
    List<Object> results();

    /** Operations of a run; 0 where there is nothing to compute. */
    double flops();

    /** Bytes that a run must at least move. */
    double bytes();

    /** What is wrong with the results, or nothing. */
    String mistake();
}
