package dev.gyre.tornado.graph;

import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;

import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A task graph before TornadoVM has seen it: kernels in order, and the arrays that go to the device and come back.
 *
 * <p>TornadoVM reports none of the mistakes that {@link #complaints()} finds: a kernel without a grid runs on one thread,
 * a global size that is no multiple of the local size does not run at all, and both leave the outputs as they were.
 */
public final class KernelGraph {
    /** Local memory of a block on NVIDIA's devices, where it is static. */
    public static final int MOST_LOCAL_BYTES = 48 << 10;

    private final String name;
    private final List<Call> calls = new ArrayList<>();
    private final List<Object> once = new ArrayList<>();
    private final List<Object> always = new ArrayList<>();
    private final List<Object> results = new ArrayList<>();
    private final List<Object> onDemand = new ArrayList<>();
    private final List<Object> kept = new ArrayList<>();
    private final Map<String, List<Object>> consumed = new LinkedHashMap<>();

    /** An empty graph. */
    public KernelGraph(String name) {
        this.name = name;
    }

    /**
     * Arrays that are sent before the first run and stay on the device. Of those that no kernel reads before one of several
     * has written them, TornadoVM 5.2 sends nothing: they hold what was in the memory.
     */
    public KernelGraph once(Object... arrays) {
        Collections.addAll(once, arrays);
        return this;
    }

    /** Arrays that are sent before every run. */
    public KernelGraph always(Object... arrays) {
        Collections.addAll(always, arrays);
        return this;
    }

    /** Arrays that another graph of the plan keeps on the device; taken from it where it is the one that ran last. */
    public KernelGraph from(String graph, Object... arrays) {
        Collections.addAll(consumed.computeIfAbsent(graph, key -> new ArrayList<>()), arrays);
        return this;
    }

    /** Arrays that other graphs of the plan may use. */
    public KernelGraph keep(Object... arrays) {
        Collections.addAll(kept, arrays);
        return this;
    }

    /** Arrays that come back after every run. */
    public KernelGraph results(Object... arrays) {
        Collections.addAll(results, arrays);
        return this;
    }

    /** Arrays that come back when {@link DevicePlan#fetch} asks for them. */
    public KernelGraph onDemand(Object... arrays) {
        Collections.addAll(onDemand, arrays);
        return this;
    }

    /** The next kernel. */
    public KernelGraph then(Call call) {
        calls.add(call);
        return this;
    }

    /** The graph's name. */
    public String name() {
        return name;
    }

    /** Its kernels. */
    public List<Call> calls() {
        return List.copyOf(calls);
    }

    /** Bytes of its arrays on the device. */
    public long deviceBytes() {
        Set<Object> arrays = Collections.newSetFromMap(new IdentityHashMap<>());
        arrays.addAll(once);
        arrays.addAll(always);
        return arrays.stream().mapToLong(DeviceArrays::bytes).sum();
    }

    /** What is wrong with the graph, one sentence each; empty where it can run. */
    public List<String> complaints() {
        List<String> complaints = new ArrayList<>();
        Set<Object> there = Collections.newSetFromMap(new IdentityHashMap<>());
        there.addAll(once);
        there.addAll(always);
        consumed.values().forEach(there::addAll);
        for (Call call : calls) {
            String where = name + "." + call.id();
            for (int i = 0; i < call.arguments().size(); i++) {
                Object argument = call.arguments().get(i);
                if (!(argument instanceof Integer) && !there.contains(argument)) {
                    complaints.add(where + ": array argument " + i + " is never sent to the device.");
                }
            }
            if (call.grid().blocks() < 1 || call.grid().threads() < 1) {
                complaints.add(where + ": the grid is empty.");
            }
            if (call.grid().threads() > 1024) {
                complaints.add(where + ": a block of " + call.grid().threads() + " threads is larger than 1024.");
            }
            if (call.grid().global() > Integer.MAX_VALUE) {
                complaints.add(where + ": " + call.grid().global() + " threads are more than an int holds.");
            }
            if (call.localBytes() > MOST_LOCAL_BYTES) {
                complaints.add(where + ": " + call.localBytes() + " bytes of local memory are more than "
                        + MOST_LOCAL_BYTES + ".");
            }
        }
        List<Object> back = new ArrayList<>(results);
        back.addAll(onDemand);
        for (Object result : back) {
            if (!there.contains(result)) {
                complaints.add(name + ": a result is never on the device.");
            }
        }
        if (calls.stream().map(Call::id).distinct().count() < calls.size()) {
            complaints.add(name + ": two kernels have the same name.");
        }
        return complaints;
    }

    /** The task graph; fails where there are complaints. */
    TaskGraph toTaskGraph() {
        List<String> complaints = complaints();
        if (!complaints.isEmpty()) {
            throw new IllegalStateException(String.join(" ", complaints));
        }
        TaskGraph graph = new TaskGraph(name);
        consumed.forEach((producer, arrays) -> graph.consumeFromDevice(producer, arrays.toArray()));
        if (!once.isEmpty()) {
            graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, once.toArray());
        }
        if (!always.isEmpty()) {
            graph.transferToDevice(DataTransferMode.EVERY_EXECUTION, always.toArray());
        }
        calls.forEach(call -> call.adder().accept(graph, call.id()));
        if (!results.isEmpty()) {
            graph.transferToHost(DataTransferMode.EVERY_EXECUTION, results.toArray());
        }
        if (!onDemand.isEmpty()) {
            graph.transferToHost(DataTransferMode.UNDER_DEMAND, onDemand.toArray());
        }
        if (!kept.isEmpty()) {
            graph.persistOnDevice(kept.toArray());
        }
        return graph;
    }

    /** Adds the grids of the kernels. */
    void schedule(GridScheduler scheduler) {
        for (Call call : calls) {
            WorkerGrid grid = new WorkerGrid1D((int) call.grid().global());
            grid.setLocalWork(call.grid().threads(), 1, 1);
            scheduler.addWorkerGrid(name + "." + call.id(), grid);
        }
    }
}
