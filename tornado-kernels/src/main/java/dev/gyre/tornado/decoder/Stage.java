package dev.gyre.tornado.decoder;

import dev.gyre.tornado.decoder.GraphCut.Kernel;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;

/**
 * The part of a recording that runs on one device. An array of the host that several stages use is an array of its own
 * on each device: what is in it there goes from one to the other only where it is {@linkplain #take handed over}.
 */
final class Stage implements AutoCloseable {
    private final TornadoDevice device;
    private final WeightPool weights;
    private final List<Section> sections = new ArrayList<>(List.of(new Section()));
    private final List<Handover> taken = new ArrayList<>();
    private List<KernelGraph> graphs;
    private GraphCut cut;
    private DevicePlan plan;

    /** Kernels that stay in one graph; those {@code ahead} go to its beginning. */
    private record Section(List<Supplier<Kernel>> ahead, List<Supplier<Kernel>> kernels) {
        Section() {
            this(new ArrayList<>(), new ArrayList<>());
        }

        GraphCut.Section made() {
            return new GraphCut.Section(
                    ahead.stream().map(Supplier::get).toList(), kernels.stream().map(Supplier::get).toList());
        }
    }

    /** An array of which the stage before leaves {@code columns} values a row. */
    private record Handover(TornadoNativeArray array, int columns) {}

    /** @param weights makes its arrays when the recording is complete */
    Stage(TornadoDevice device, WeightPool weights) {
        this.device = device;
        this.weights = weights;
    }

    /** The weights of its layers. */
    WeightPool weights() {
        return weights;
    }

    /** Kernels from here on may be in another graph than those before. */
    void section() {
        sections.add(new Section());
    }

    /** Adds a kernel. */
    void add(Supplier<Kernel> kernel) {
        sections.getLast().kernels().add(kernel);
    }

    /** Adds a kernel at the beginning of the graph that the next ones will be in. */
    void addAhead(Supplier<Kernel> kernel) {
        sections.getLast().ahead().add(kernel);
    }

    /** Takes the first rows of an array, {@code [rows, columns]}, from the stage before. */
    void take(TornadoNativeArray array, int columns) {
        taken.add(new Handover(array, columns));
    }

    /** Makes the weights' arrays and the graphs. */
    void complete(Set<Object> always, IntArray shapes, GraphCut.Limits limits) {
        weights.build();
        Set<Object> sent = Collections.newSetFromMap(new IdentityHashMap<>());
        sent.addAll(always);
        taken.forEach(handover -> sent.add(handover.array()));
        cut = new GraphCut(sections.stream().map(Section::made).toList(), sent, shapes, limits);
        graphs = cut.graphs();
    }

    /** Whether its kernels use an array. */
    boolean uses(Object array) {
        return cut.uses(array);
    }

    /** An array that can be {@linkplain #fetch fetched}. */
    void onDemand(Object array) {
        graphs.get(cut.graphOf(array)).onDemand(array);
    }

    /** What it takes can be fetched from the stage before. */
    void demandFrom(Stage before) {
        taken.forEach(handover -> before.onDemand(handover.array()));
    }

    /** Makes the plan of the graphs. */
    void plan() {
        plan = new DevicePlan(device, graphs).captured();
    }

    /** Takes over what the stage before has left of so many rows. */
    void takeFrom(Stage before, int rows) {
        if (rows > 0) {
            taken.forEach(handover -> before.fetch(handover.array(), 0, rows * handover.columns()));
        }
    }

    /** Runs all kernels. */
    void run() {
        plan.runAll();
    }

    /** Brings the values {@code [from, from + count)} of an array back. */
    void fetch(TornadoNativeArray array, int from, int count) {
        plan.in(cut.graphOf(array)).fetch(array, from, count);
    }

    /** Brings an array back. */
    void fetch(Object array) {
        plan.in(cut.graphOf(array)).fetch(array);
    }

    /** Bytes of all its arrays. */
    long deviceBytes() {
        return plan.deviceBytes();
    }

    /** How often it was run. */
    long runs() {
        return plan == null ? 0 : plan.runs();
    }

    /** Nanoseconds that the host spent in that, and in fetching parts of arrays. */
    long nanos() {
        return plan == null ? 0 : plan.nanos();
    }

    @Override
    public void close() {
        if (plan != null) {
            plan.close();
        }
    }
}
