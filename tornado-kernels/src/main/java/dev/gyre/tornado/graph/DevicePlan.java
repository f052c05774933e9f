package dev.gyre.tornado.graph;

import dev.gyre.attention.EngineException;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.ImmutableTaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.enums.TornadoVMBackendType;
import uk.ac.manchester.tornado.api.exceptions.TornadoExecutionPlanException;
import uk.ac.manchester.tornado.api.exceptions.TornadoOutOfMemoryException;

import java.util.List;

/** Graphs that share their arrays on a device: one execution plan. One thread at a time. */
public final class DevicePlan implements AutoCloseable {
    private final List<KernelGraph> graphs;
    private final TornadoExecutionPlan plan;
    private final GridScheduler grids = new GridScheduler();
    private final TornadoDevice device;
    private TornadoExecutionResult last;

    /** Makes the plan; compiles nothing yet. */
    public DevicePlan(TornadoDevice device, List<KernelGraph> graphs) {
        this.graphs = List.copyOf(graphs);
        this.device = device;
        ImmutableTaskGraph[] snapshots =
                graphs.stream().map(graph -> graph.toTaskGraph().snapshot()).toArray(ImmutableTaskGraph[]::new);
        graphs.forEach(graph -> graph.schedule(grids));
        plan = new TornadoExecutionPlan(snapshots);
    }

    /**
     * Lets the driver replay what the first run of each graph launched (a CUDA graph): a launch then costs microseconds
     * where TornadoVM takes a hundred. Right only where no graph uses another's arrays; before the first run, and without
     * effect on other backends, where TornadoVM 5.2 would compute nothing.
     */
    public DevicePlan captured() {
        if (device.getTornadoVMBackend() == TornadoVMBackendType.CUDA) {
            plan.withCUDAGraph();
        }
        return this;
    }

    /** Runs a graph and returns when its results are here. */
    public void run(int graph) {
        try {
            last = plan.withGraph(graph).withDevice(device).withGridScheduler(grids).execute();
        } catch (TornadoOutOfMemoryException e) {
            long wanted = graphs.stream().mapToLong(KernelGraph::deviceBytes).sum();
            throw new EngineException("the device " + device.getPhysicalDevice().getDeviceName() + " has no room for the "
                    + wanted + " bytes that " + graphs.get(graph).name() + " needs, of "
                    + device.getPhysicalDevice().getDeviceGlobalMemorySize() + " that it has; use a shorter "
                    + "--context-length, a smaller --kv-cache-dtype, or more memory with -Dtornado.device.memory=<N>GB.", e);
        }
    }

    /** Brings arrays of the last run back. */
    public void fetch(Object... arrays) {
        last.transferToHost(arrays);
    }

    /** Frees the plan's arrays on the device. */
    @Override
    public void close() {
        try {
            plan.close();
        } catch (TornadoExecutionPlanException e) {
            throw new EngineException("the device " + device.getPhysicalDevice().getDeviceName()
                    + " could not give its memory back: " + e.getMessage(), e);
        }
    }
}
