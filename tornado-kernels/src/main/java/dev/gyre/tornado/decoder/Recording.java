package dev.gyre.tornado.decoder;

import dev.gyre.tornado.decoder.GraphCut.Kernel;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * The operations of a decoder's first step as kernels of one graph, or of as few as there is {@linkplain GraphCut room} for
 * them in, which later steps run again. That they ask for the same operations is checked by name.
 */
final class Recording implements AutoCloseable {
    private final TornadoDevice device;
    private final GraphCut.Limits limits;
    private final List<String> operations = new ArrayList<>();
    private final List<Section> sections = new ArrayList<>(List.of(new Section()));
    private final WeightPool weights;
    private int[] shape = new int[256];
    private int shapeSize;
    private IntArray shapes;
    private final Set<Object> always = Collections.newSetFromMap(new IdentityHashMap<>());
    private final List<Object> onDemand = new ArrayList<>();
    private int kernels;
    private int next;
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

    /** @param weights makes its arrays when the recording is complete */
    Recording(TornadoDevice device, WeightPool weights, GraphCut.Limits limits) {
        this.device = device;
        this.weights = weights;
        this.limits = limits;
    }

    /** Writes down what an operation is; returns where that will be in {@link #shapes()}. */
    int shape(int... numbers) {
        int at = shapeSize;
        shapeSize += numbers.length;
        if (shapeSize > shape.length) {
            shape = Arrays.copyOf(shape, 2 * shapeSize);
        }
        System.arraycopy(numbers, 0, shape, at, numbers.length);
        return at;
    }

    /** What all operations are; there when calls are made. */
    IntArray shapes() {
        return shapes;
    }

    /** Arrays that go to the device before every run. */
    void always(Object... arrays) {
        Collections.addAll(always, arrays);
    }

    /** Arrays that come back when they are asked for. */
    void onDemand(Object... arrays) {
        Collections.addAll(onDemand, arrays);
    }

    /** Kernels from here on may be in another graph than those before. */
    void section() {
        sections.add(new Section());
    }

    /** Whether an operation is on record already; if not, its kernels are to be {@linkplain #call added}. */
    boolean replays(String operation) {
        if (plan == null) {
            operations.add(operation);
            return false;
        }
        if (next == operations.size() || !operations.get(next).equals(operation)) {
            throw new IllegalStateException("the step asks for " + operation + " as its operation " + next
                    + ", which was not so in the first");
        }
        next++;
        return true;
    }

    /** The next operation is the first of the step. */
    void begin() {
        next = 0;
    }

    /** The next operation is the last of that name again. */
    void back(String operation) {
        next = operations.lastIndexOf(operation);
    }

    /**
     * Adds a kernel, whose call is made when the recording is complete. Arrays that nothing else sends go to the device
     * once.
     */
    void call(String name, int blocks, int threads, int localBytes, Function<Call.Builder, Call> kernel) {
        call(name, 1, blocks, threads, localBytes, kernel);
    }

    /** Adds a kernel that writes so many arrays. */
    void call(
            String name, int written, int blocks, int threads, int localBytes, Function<Call.Builder, Call> kernel) {
        sections.getLast().kernels().add(kernel(name, written, blocks, threads, localBytes, kernel));
    }

    /** Adds a kernel at the beginning of the graph that the next ones will be in. */
    void ahead(
            String name, int written, int blocks, int threads, int localBytes, Function<Call.Builder, Call> kernel) {
        sections.getLast().ahead().add(kernel(name, written, blocks, threads, localBytes, kernel));
    }

    private Supplier<Kernel> kernel(
            String name, int written, int blocks, int threads, int localBytes, Function<Call.Builder, Call> kernel) {
        String id = name + kernels++;
        return () -> new Kernel(kernel.apply(Call.of(id, blocks, threads, localBytes)), written);
    }

    /** Runs all kernels; the first time the recording is complete then. */
    void run() {
        if (plan == null) {
            plan = complete();
        }
        plan.runAll();
    }

    private DevicePlan complete() {
        weights.build();
        shapes = DeviceArrays.ints(Math.max(1, shapeSize));
        DeviceArrays.copy(shape, 0, shapes, 0, shapeSize);
        cut = new GraphCut(sections.stream().map(Section::made).toList(), always, shapes, limits);
        List<KernelGraph> graphs = cut.graphs();
        for (Object array : onDemand) {
            graphs.get(cut.graphOf(array)).onDemand(array);
        }
        DevicePlan made = new DevicePlan(device, graphs);
        return graphs.size() == 1 ? made.captured() : made;
    }

    /** How often it was run. */
    long runs() {
        return plan == null ? 0 : plan.runs();
    }

    /** Nanoseconds that the host spent in that, and in fetching parts of arrays. */
    long nanos() {
        return plan == null ? 0 : plan.nanos();
    }

    /** Brings the values {@code [from, from + count)} of an array back. */
    void fetch(TornadoNativeArray array, int from, int count) {
        plan.in(cut.graphOf(array)).fetch(array, from, count);
    }

    /** Brings an array back. */
    void fetch(Object array) {
        plan.in(cut.graphOf(array)).fetch(array);
    }

    @Override
    public void close() {
        if (plan != null) {
            plan.close();
        }
    }
}
