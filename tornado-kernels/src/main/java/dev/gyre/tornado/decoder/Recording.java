package dev.gyre.tornado.decoder;

import dev.gyre.tornado.decoder.GraphCut.Kernel;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
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
 * The operations of a decoder's first step as kernels that later steps run again: stages one after the other, each on a
 * device of its own, a stage one graph, or as few as there is {@linkplain GraphCut room} for it in. That steps ask for
 * the same operations is checked by name.
 */
final class Recording implements AutoCloseable {
    private final List<Stage> stages;
    private final GraphCut.Limits limits;
    private final List<String> operations = new ArrayList<>();
    private int[] shape = new int[256];
    private int shapeSize;
    private IntArray shapes;
    private final Set<Object> always = Collections.newSetFromMap(new IdentityHashMap<>());
    private final List<Object> onDemand = new ArrayList<>();
    private int stage;
    private int kernels;
    private int next;
    private boolean complete;

    Recording(List<Stage> stages, GraphCut.Limits limits) {
        this.stages = List.copyOf(stages);
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

    /** The weights of the stage whose kernels are recorded, or whose calls are made. */
    WeightPool weights() {
        return stages.get(stage).weights();
    }

    /** Arrays that go to the devices before every run. */
    void always(Object... arrays) {
        Collections.addAll(always, arrays);
    }

    /** Arrays that come back when they are asked for, from the last stage that uses them. */
    void onDemand(Object... arrays) {
        Collections.addAll(onDemand, arrays);
    }

    /** Kernels from here on may be in another graph than those before. */
    void section() {
        stages.get(stage).section();
    }

    /** Kernels from here on are those of the next stage. */
    void nextStage() {
        stage++;
    }

    /** The number of the stage whose kernels are recorded. */
    int stage() {
        return stage;
    }

    /** The stage takes the first rows of an array, {@code [rows, columns]}, from the one before. */
    void handOver(TornadoNativeArray array, int columns) {
        stages.get(stage).take(array, columns);
    }

    /** Whether an operation is on record already; if not, its kernels are to be {@linkplain #call added}. */
    boolean replays(String operation) {
        if (!complete) {
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
        stages.get(stage).add(kernel(name, written, blocks, threads, localBytes, kernel));
    }

    /** Adds a kernel at the beginning of the graph that the next ones will be in. */
    void ahead(
            String name, int written, int blocks, int threads, int localBytes, Function<Call.Builder, Call> kernel) {
        stages.get(stage).addAhead(kernel(name, written, blocks, threads, localBytes, kernel));
    }

    private Supplier<Kernel> kernel(
            String name, int written, int blocks, int threads, int localBytes, Function<Call.Builder, Call> kernel) {
        String id = name + kernels++;
        return () -> new Kernel(kernel.apply(Call.of(id, blocks, threads, localBytes)), written);
    }

    /**
     * Runs all kernels; the first time the recording is complete then.
     *
     * @param rows how many rows stages hand over
     */
    void run(int rows) {
        if (!complete) {
            complete();
        }
        for (int i = 0; i < stages.size(); i++) {
            if (i > 0) {
                stages.get(i).takeFrom(stages.get(i - 1), rows);
            }
            stages.get(i).run();
        }
    }

    private void complete() {
        shapes = DeviceArrays.ints(Math.max(1, shapeSize));
        DeviceArrays.copy(shape, 0, shapes, 0, shapeSize);
        for (stage = 0; stage < stages.size(); stage++) {
            stages.get(stage).complete(always, shapes, limits);
        }
        onDemand.forEach(array -> user(array).onDemand(array));
        for (int i = 1; i < stages.size(); i++) {
            stages.get(i).demandFrom(stages.get(i - 1));
        }
        stages.forEach(Stage::plan);
        complete = true;
    }

    /** The last stage that uses an array. */
    private Stage user(Object array) {
        return stages.reversed().stream().filter(one -> one.uses(array)).findFirst().orElseThrow();
    }

    /** How often it was run. */
    long runs() {
        return stages.getLast().runs();
    }

    /** Nanoseconds that the host spent in that, and in fetching parts of arrays. */
    long nanos() {
        return stages.stream().mapToLong(Stage::nanos).sum();
    }

    /** Brings the values {@code [from, from + count)} of an array back. */
    void fetch(TornadoNativeArray array, int from, int count) {
        user(array).fetch(array, from, count);
    }

    /** Brings an array back. */
    void fetch(Object array) {
        user(array).fetch(array);
    }

    /** Bytes of all arrays on the device. */
    long deviceBytes() {
        return stages.stream().mapToLong(Stage::deviceBytes).sum();
    }

    @Override
    public void close() {
        stages.forEach(Stage::close);
    }
}
