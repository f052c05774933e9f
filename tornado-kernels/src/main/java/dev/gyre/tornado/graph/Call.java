package dev.gyre.tornado.graph;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.common.TornadoFunctions;

import java.util.List;
import java.util.function.BiConsumer;

/**
 * A kernel with its arguments: how it is added to a task graph, and what the checks of {@link KernelGraph} must know.
 *
 * @param id the task's name within its graph
 * @param grid blocks and threads
 * @param localBytes local memory of a block
 * @param arguments arrays, and ints that never change, in the order of the kernel's parameters, without the kernel context
 * @param adder adds the task to a graph under its id
 */
public record Call(
        String id, Grid grid, int localBytes, List<Object> arguments, BiConsumer<TaskGraph, String> adder) {
    /**
     * Blocks and threads of a kernel: the global size is a multiple of the local size by construction.
     *
     * @param blocks how many
     * @param threads of a block
     */
    public record Grid(int blocks, int threads) {
        /** All threads. */
        public long global() {
            return Math.multiplyExact((long) blocks, threads);
        }
    }

    /** A call without arguments, to be completed by one of the {@code kernel} methods. */
    public static Builder of(String id, int blocks, int threads, int localBytes) {
        return new Builder(id, new Grid(blocks, threads), localBytes);
    }

    /** The kernel and its arguments, by their number. */
    public record Builder(String id, Grid grid, int localBytes) {
        /** One for all: to a graph each is one object more, of which it has no endless number. Kernels see their own. */
        private static final KernelContext CONTEXT = new KernelContext();

        private Call call(BiConsumer<TaskGraph, String> adder, Object... arguments) {
            return new Call(id, grid, localBytes, List.of(arguments), adder);
        }

        /** A kernel of 2 arrays. */
        public <T1, T2> Call kernel(TornadoFunctions.Task3<KernelContext, T1, T2> kernel, T1 a1, T2 a2) {
            return call((graph, task) -> graph.task(task, kernel, CONTEXT, a1, a2), a1, a2);
        }

        /** A kernel of 3 arrays. */
        public <T1, T2, T3> Call kernel(
                TornadoFunctions.Task4<KernelContext, T1, T2, T3> kernel, T1 a1, T2 a2, T3 a3) {
            return call((graph, task) -> graph.task(task, kernel, CONTEXT, a1, a2, a3), a1, a2, a3);
        }

        /** A kernel of 4 arrays. */
        public <T1, T2, T3, T4> Call kernel(
                TornadoFunctions.Task5<KernelContext, T1, T2, T3, T4> kernel, T1 a1, T2 a2, T3 a3, T4 a4) {
            return call((graph, task) -> graph.task(task, kernel, CONTEXT, a1, a2, a3, a4), a1, a2, a3, a4);
        }

        /** A kernel of 5 arrays. */
        public <T1, T2, T3, T4, T5> Call kernel(
                TornadoFunctions.Task6<KernelContext, T1, T2, T3, T4, T5> kernel, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5) {
            return call((graph, task) -> graph.task(task, kernel, CONTEXT, a1, a2, a3, a4, a5), a1, a2, a3, a4, a5);
        }

        /** A kernel of 6 arrays. */
        public <T1, T2, T3, T4, T5, T6> Call kernel(
                TornadoFunctions.Task7<KernelContext, T1, T2, T3, T4, T5, T6> kernel, T1 a1, T2 a2, T3 a3, T4 a4,
                T5 a5, T6 a6) {
            return call((graph, task) -> graph.task(task, kernel, CONTEXT, a1, a2, a3, a4, a5, a6), a1, a2, a3, a4,
                    a5, a6);
        }

        /** A kernel of 7 arrays. */
        public <T1, T2, T3, T4, T5, T6, T7> Call kernel(
                TornadoFunctions.Task8<KernelContext, T1, T2, T3, T4, T5, T6, T7> kernel, T1 a1, T2 a2, T3 a3, T4 a4,
                T5 a5, T6 a6, T7 a7) {
            return call((graph, task) -> graph.task(task, kernel, CONTEXT, a1, a2, a3, a4, a5, a6, a7), a1, a2, a3,
                    a4, a5, a6, a7);
        }

        /** A kernel of 8 arrays. */
        public <T1, T2, T3, T4, T5, T6, T7, T8> Call kernel(
                TornadoFunctions.Task9<KernelContext, T1, T2, T3, T4, T5, T6, T7, T8> kernel, T1 a1, T2 a2, T3 a3,
                T4 a4, T5 a5, T6 a6, T7 a7, T8 a8) {
            return call((graph, task) -> graph.task(task, kernel, CONTEXT, a1, a2, a3, a4, a5, a6, a7, a8), a1, a2,
                    a3, a4, a5, a6, a7, a8);
        }

        /** A kernel of 9 arrays. */
        public <T1, T2, T3, T4, T5, T6, T7, T8, T9> Call kernel(
                TornadoFunctions.Task10<KernelContext, T1, T2, T3, T4, T5, T6, T7, T8, T9> kernel, T1 a1, T2 a2,
                T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9) {
            return call((graph, task) -> graph.task(task, kernel, CONTEXT, a1, a2, a3, a4, a5, a6, a7, a8, a9), a1,
                    a2, a3, a4, a5, a6, a7, a8, a9);
        }

        /** A kernel of 10 arrays. */
        public <T1, T2, T3, T4, T5, T6, T7, T8, T9, T10> Call kernel(
                TornadoFunctions.Task11<KernelContext, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10> kernel, T1 a1, T2 a2,
                T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10) {
            return call((graph, task) -> graph.task(task, kernel, CONTEXT, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10),
                    a1, a2, a3, a4, a5, a6, a7, a8, a9, a10);
        }

        /** A kernel of 11 arrays. */
        public <T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11> Call kernel(
                TornadoFunctions.Task12<KernelContext, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11> kernel, T1 a1, T2 a2,
                T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11) {
            return call(
                    (graph, task) -> graph.task(
                            task, kernel, CONTEXT, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11),
                    a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11);
        }
    }
}
