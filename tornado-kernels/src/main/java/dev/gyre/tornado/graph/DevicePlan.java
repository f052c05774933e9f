package dev.gyre.tornado.graph;

import dev.gyre.attention.EngineException;
import uk.ac.manchester.tornado.api.DataRange;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.ImmutableTaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.enums.TornadoVMBackendType;
import uk.ac.manchester.tornado.api.exceptions.TornadoDeviceMMANotSupported;
import uk.ac.manchester.tornado.api.exceptions.TornadoExecutionPlanException;
import uk.ac.manchester.tornado.api.exceptions.TornadoInternalError;
import uk.ac.manchester.tornado.api.exceptions.TornadoOutOfMemoryException;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

import java.util.List;

/** Graphs that share their arrays on a device: one execution plan. One thread at a time. */
public final class DevicePlan implements AutoCloseable {
    /** What a graph was chosen by keeps the results of its runs, so after these it is chosen anew. */
    private static final int MOST_RUNS = 1024;

    /** All graphs, where one is chosen by its number. */
    private static final int ALL = -2;

    private final List<KernelGraph> graphs;
    private final TornadoExecutionPlan plan;
    private final GridScheduler grids = new GridScheduler();
    private final TornadoDevice device;
    private TornadoExecutionPlan chosen;
    private int chosenGraph = -1;
    private TornadoExecutionResult last;
    private boolean failed;
    private boolean shared;
    private long runs;
    private long nanos;

    /** Makes the plan; compiles nothing yet. */
    public DevicePlan(TornadoDevice device, List<KernelGraph> graphs) {
        this.graphs = List.copyOf(graphs);
        this.device = device;
        ImmutableTaskGraph[] snapshots =
                graphs.stream().map(graph -> graph.toTaskGraph().snapshot()).toArray(ImmutableTaskGraph[]::new);
        graphs.forEach(graph -> graph.schedule(grids));
        plan = new TornadoExecutionPlan(snapshots);
        // once: what is said of a plan in every run is written into a string in every run
        plan.withDevice(device);
        plan.withGridScheduler(grids);
    }

    /**
     * Lets the driver replay what the first run of each graph launched (a CUDA graph): a launch then costs microseconds
     * where TornadoVM takes a hundred. Before the first run, and without effect on other backends, where TornadoVM 5.2
     * would compute nothing. Of several graphs it is right only with {@link #runAll}: a graph that takes another's arrays
     * must be captured after the other has run.
     */
    public DevicePlan captured() {
        if (device.getTornadoVMBackend() == TornadoVMBackendType.CUDA) {
            plan.withCUDAGraph();
        }
        return this;
    }

    /** Runs a graph and returns when its results are here. */
    public void run(int graph) {
        failed = true; // until the run has ended
        long start = System.nanoTime();
        try {
            choose(graph, runs % MOST_RUNS == 0);
            last = chosen.execute();
            runs++;
            failed = false;
            nanos += System.nanoTime() - start;
        } catch (TornadoOutOfMemoryException e) {
            throw new EngineException("what runs on the device needs " + deviceBytes() + " bytes there: "
                    + device.getPhysicalDevice().getDeviceName() + " has "
                    + device.getPhysicalDevice().getDeviceGlobalMemorySize() + " bytes, and of the "
                    + Settings.deviceMemory() + " that TornadoVM may take of them too little is left; set "
                    + "JDK_JAVA_OPTIONS=-Dtornado.device.memory=<N>GB, or use a shorter --context-length or a smaller "
                    + "--kv-cache-dtype.", e);
        } catch (TornadoDeviceMMANotSupported e) {
            throw new EngineException("the device " + device.getPhysicalDevice().getDeviceName()
                    + " has no matrix instructions for this cache dtype; use --kv-cache-dtype f32.", e);
        }
    }

    /**
     * Runs all graphs in order. Of arrays that they share, each {@linkplain KernelGraph#from takes} all from the one before
     * it, and one or more from the last.
     */
    public void runAll() {
        if (shared) {
            run(ALL);
            return;
        }
        // what arrays are on the device is handed on from run to run, so that for once each graph is a run of its own
        for (int graph = 0; graph < graphs.size(); graph++) {
            run(graph);
        }
        shared = graphs.size() > 1;
    }

    private void choose(int graph, boolean again) {
        if (graph != chosenGraph || again) {
            // TornadoVM compares all names of a graph's tasks with all names of grids here: only when it must
            chosen = graph == ALL ? plan.withAllGraphs() : plan.withGraph(graph);
            chosenGraph = graph;
        }
    }

    /** The arrays that are fetched next are those of this graph's last run. */
    public DevicePlan in(int graph) {
        choose(graph, false);
        return this;
    }

    /** Bytes of all arrays on the device. */
    public long deviceBytes() {
        return graphs.stream().mapToLong(KernelGraph::deviceBytes).sum();
    }

    /** Brings arrays of the last run back. */
    public void fetch(Object... arrays) {
        last.transferToHost(arrays);
    }

    /**
     * Brings the values {@code [from, from + count)} of an array of the last run back. (After such a call TornadoVM 5.2
     * brings no more of the array when it is asked for all of it.)
     */
    public void fetch(TornadoNativeArray array, int from, int count) {
        long start = System.nanoTime();
        last.transferToHost(new DataRange(array).withOffset(from).withSize(count));
        nanos += System.nanoTime() - start;
    }

    /** How often graphs were run. */
    public long runs() {
        return runs;
    }

    /** Nanoseconds that the host spent in runs, until their last kernel had ended, and in fetching parts of arrays. */
    public long nanos() {
        return nanos;
    }

    /**
     * Frees the plan's arrays on the device. After a run that failed TornadoVM 5.2 stumbles over what it had not yet
     * allocated, and some of the rest may stay: the failure that led here says what is wrong, this one would hide it.
     */
    @Override
    public void close() {
        try {
            plan.close();
        } catch (TornadoInternalError e) {
            if (graphs.size() > 1) {
                freeOneByOne();
            } else if (!failed) {
                throw e;
            }
        } catch (TornadoExecutionPlanException e) {
            throw new EngineException("the device " + device.getPhysicalDevice().getDeviceName()
                    + " could not give its memory back: " + e.getMessage(), e);
        }
    }

    /**
     * On CUDA TornadoVM 5.2 stumbles over arrays that several graphs of a plan have, once the first has freed them, and then
     * frees nothing of the others.
     */
    private void freeOneByOne() {
        for (int graph = 0; graph < graphs.size(); graph++) {
            try {
                plan.withGraph(graph).freeDeviceMemory();
            } catch (TornadoInternalError e) {
                // the next graph has arrays of its own
            }
        }
    }
}
