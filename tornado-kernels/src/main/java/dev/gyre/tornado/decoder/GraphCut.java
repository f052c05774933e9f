package dev.gyre.tornado.decoder;

import dev.gyre.attention.EngineException;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.KernelGraph;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Cuts the kernels of a step into consecutive graphs where TornadoVM has no room for them in one. The first graph that
 * uses an array sends it; until the last that does it is handed on from graph to graph, also by those that do not use
 * it, since TornadoVM 5.2 takes arrays from the graph alone that ran before
 * ({@code TornadoTaskGraph.updatePersistedObjectState}).
 */
final class GraphCut {
    /**
     * What a graph has room for.
     *
     * @param kernels {@code TornadoExecutionContext.MAX_TASKS}
     * @param nodes {@code TornadoGraph.INITIAL_SIZE}, which does not grow
     * @param bytes the length of {@code TornadoTaskGraph.highLevelCode}
     */
    record Limits(int kernels, int nodes, int bytes) {
        /** TornadoVM 5.2's; the bytes are what some 150 kernels of a decoder need. */
        static final Limits TORNADO = new Limits(256, 1024, 8192);
    }

    /**
     * A kernel.
     *
     * @param written how many arrays it writes
     */
    record Kernel(Call call, int written) {}

    /**
     * Kernels that stay together, a layer's for example.
     *
     * @param ahead those of them that go to the beginning of their graph
     */
    record Section(List<Kernel> ahead, List<Kernel> kernels) {
        Section() {
            this(new ArrayList<>(), new ArrayList<>());
        }

        int size() {
            return ahead.size() + kernels.size();
        }
    }

    /** Sections {@code [from, to]}, which are one graph. */
    private record Range(int from, int to) {}

    private final List<Section> sections;
    private final Set<Object> always;
    private final Object common;
    /** The first and the last section that use an array. (An array equals no other.) */
    private final Map<Object, Range> spans = new LinkedHashMap<>();
    private final List<Range> ranges = new ArrayList<>();

    /**
     * @param always arrays that are sent before every run; all others are sent once
     * @param common an array that all sections use
     */
    GraphCut(List<Section> sections, Set<Object> always, Object common, Limits limits) {
        this.sections = sections;
        this.always = always;
        this.common = common;
        for (int i = 0; i < sections.size(); i++) {
            int section = i;
            for (Object array : arrays(kernels(new Range(i, i)))) {
                spans.merge(array, new Range(i, i), (span, same) -> new Range(span.from(), section));
            }
        }
        for (int from = 0; from < sections.size(); from = ranges.getLast().to() + 1) {
            Range range = new Range(from, from);
            if (!fits(range, limits)) {
                throw new EngineException("a layer of the model takes " + sections.get(from).size()
                        + " kernels, more than a graph of TornadoVM has room for; use --linear-backend vector.");
            }
            while (range.to() + 1 < sections.size() && fits(new Range(from, range.to() + 1), limits)) {
                range = new Range(from, range.to() + 1);
            }
            ranges.add(range);
        }
    }

    private boolean fits(Range range, Limits limits) {
        List<Kernel> kernels = kernels(range);
        return kernels.size() <= limits.kernels()
                && nodes(range) <= limits.nodes()
                && bytes(kernels) <= limits.bytes();
    }

    /** Bytes of a graph in {@code TornadoTaskGraph.addInner}: 15 for a kernel, 5 for an argument and for the context. */
    private static int bytes(List<Kernel> kernels) {
        return kernels.stream().mapToInt(kernel -> 20 + 5 * kernel.call().arguments().size()).sum();
    }

    /**
     * Nodes of a graph in {@code TornadoGraphBuilder}: the device and its list of allocations, every number and kernel,
     * what a kernel writes, three for an array that is used and one for an array that is only handed on. A kernel context
     * is an array.
     */
    private int nodes(Range range) {
        Set<Object> numbers = new HashSet<>();
        int written = 0;
        List<Kernel> kernels = kernels(range);
        for (Kernel kernel : kernels) {
            written += kernel.written();
            kernel.call().arguments().stream().filter(Integer.class::isInstance).forEach(numbers::add);
        }
        Set<Object> used = arrays(kernels);
        return 2 + numbers.size() + kernels.size() + written + 3 * (used.size() + 1) + passing(range, used).size();
    }

    /** A graph's kernels in order. */
    private List<Kernel> kernels(Range range) {
        List<Kernel> kernels = new ArrayList<>();
        List<Section> part = sections.subList(range.from(), range.to() + 1);
        part.forEach(section -> kernels.addAll(section.ahead()));
        part.forEach(section -> kernels.addAll(section.kernels()));
        return kernels;
    }

    /**
     * What kernels use, in the order in which they do: TornadoVM allocates arrays in the order in which it hears of them,
     * and where memory runs out it does not give all of them back.
     */
    private static Set<Object> arrays(List<Kernel> kernels) {
        Set<Object> arrays = new LinkedHashSet<>();
        for (Kernel kernel : kernels) {
            kernel.call().arguments().stream().filter(argument -> !(argument instanceof Integer)).forEach(arrays::add);
        }
        return arrays;
    }

    /** Arrays that are used before and behind a graph and not in it. */
    private List<Object> passing(Range range, Set<Object> used) {
        List<Object> passing = new ArrayList<>();
        spans.forEach((array, span) -> {
            if (span.from() < range.from() && span.to() > range.to() && !used.contains(array)) {
                passing.add(array);
            }
        });
        return passing;
    }

    /** The graphs, in order. */
    List<KernelGraph> graphs() {
        List<KernelGraph> graphs = new ArrayList<>();
        for (int i = 0; i < ranges.size(); i++) {
            graphs.add(graph(i));
        }
        return graphs;
    }

    private KernelGraph graph(int number) {
        Range range = ranges.get(number);
        KernelGraph graph = new KernelGraph(name(number));
        List<Kernel> kernels = kernels(range);
        kernels.forEach(kernel -> graph.then(kernel.call()));
        Set<Object> used = arrays(kernels);
        List<Object> there = new ArrayList<>(used);
        there.addAll(passing(range, used));
        for (Object array : there) {
            Range span = spans.get(array);
            if (span.from() < range.from()) {
                graph.from(name(number - 1), array);
            } else if (always.contains(array)) {
                graph.always(array);
            } else {
                graph.once(array);
            }
            if (span.to() > range.to()) {
                graph.keep(array);
            }
        }
        if (number > 0) {
            // where all graphs are one run, the last is the one that ran before: without an array that is taken from it
            // TornadoVM would take all from there, also those that it never had
            graph.from(name(ranges.size() - 1), common);
        }
        return graph;
    }

    private String name(int number) {
        return ranges.size() == 1 ? "decoder" : "decoder" + number;
    }

    /** Whether kernels use an array. */
    boolean uses(Object array) {
        return spans.containsKey(array);
    }

    /** The last graph that uses an array. */
    int graphOf(Object array) {
        int section = spans.get(array).to();
        int graph = 0;
        while (ranges.get(graph).to() < section) {
            graph++;
        }
        return graph;
    }
}
