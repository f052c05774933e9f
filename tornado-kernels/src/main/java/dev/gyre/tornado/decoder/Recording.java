package dev.gyre.tornado.decoder;

import dev.gyre.attention.EngineException;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.exceptions.TornadoInternalError;
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
 * The operations of a decoder's first step as kernels of one graph, which later steps run again. That they ask for the same
 * operations is checked by name.
 */
final class Recording implements AutoCloseable {
    private static final int MOST_KERNELS = 256;

    private final TornadoDevice device;
    private final KernelGraph graph = new KernelGraph("decoder");
    private final List<String> operations = new ArrayList<>();
    private final List<Supplier<Call>> calls = new ArrayList<>();
    private final WeightPool weights;
    private int[] shape = new int[256];
    private int shapeSize;
    private IntArray shapes;
    private final Set<Object> sent = Collections.newSetFromMap(new IdentityHashMap<>());
    private int next;
    private DevicePlan plan;

    /** @param weights makes its arrays when the recording is complete */
    Recording(TornadoDevice device, WeightPool weights) {
        this.device = device;
        this.weights = weights;
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
        graph.always(arrays);
        Collections.addAll(sent, arrays);
    }

    /** Arrays that come back when they are asked for. */
    void onDemand(Object... arrays) {
        graph.onDemand(arrays);
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
        String id = name + calls.size();
        calls.add(() -> kernel.apply(Call.of(id, blocks, threads, localBytes)));
    }

    /** Runs the graph; the first time it is complete then. */
    void run() {
        if (plan != null) {
            plan.run(0);
            return;
        }
        if (calls.size() > MOST_KERNELS) {
            throw tooLarge(null);
        }
        plan = new DevicePlan(device, List.of(complete())).captured();
        try {
            plan.run(0);
        } catch (TornadoInternalError e) {
            if (String.valueOf(e.getMessage()).contains("resize")) { // of the nodes that a graph has room for
                throw tooLarge(e);
            }
            throw e;
        }
    }

    private EngineException tooLarge(Throwable cause) {
        return new EngineException("the model takes " + calls.size() + " kernels a step, and a graph of TornadoVM 5.2 has room "
                + "for " + MOST_KERNELS + " at most and for few arrays; use --linear-backend vector, which leaves attention on "
                + "the device.", cause);
    }

    /** The whole graph. */
    private KernelGraph complete() {
        weights.build();
        shapes = DeviceArrays.ints(Math.max(1, shapeSize));
        DeviceArrays.copy(shape, 0, shapes, 0, shapeSize);
        for (Supplier<Call> next : calls) {
            Call call = next.get();
            for (Object argument : call.arguments()) {
                if (!(argument instanceof Integer) && sent.add(argument)) {
                    graph.once(argument);
                }
            }
            graph.then(call);
        }
        return graph;
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
        plan.fetch(array, from, count);
    }

    /** Brings arrays back. */
    void fetch(Object... arrays) {
        plan.fetch(arrays);
    }

    @Override
    public void close() {
        if (plan != null) {
            plan.close();
        }
    }
}
