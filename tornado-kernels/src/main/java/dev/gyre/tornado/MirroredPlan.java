package dev.gyre.tornado;

import dev.gyre.tornado.graph.DevicePlan;
import dev.gyre.tornado.graph.KernelGraph;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.ArrayList;
import java.util.List;

/** The mirror of a cache, and the graphs that read it, as one plan on the device. */
final class MirroredPlan implements AutoCloseable {
    private final PageMirror mirror;
    private final List<KernelGraph> graphs = new ArrayList<>();
    private DevicePlan plan;

    /**
     * Arrays alone; {@link #start} brings them to a device.
     *
     * @param readers graphs that read the mirror
     */
    MirroredPlan(PageMirror mirror, List<KernelGraph> readers) {
        this.mirror = mirror;
        graphs.add(mirror.graph());
        graphs.addAll(readers);
    }

    /** The graphs of the plan, the mirror's first. */
    List<KernelGraph> graphs() {
        return List.copyOf(graphs);
    }

    void start(TornadoDevice device) {
        plan = new DevicePlan(device, graphs);
        try {
            mirror.start(plan, 0);
        } catch (RuntimeException e) {
            plan.close(); // what fitted before the rest did not
            throw e;
        }
    }

    /** Sends what changed in the cache. */
    void update() {
        mirror.update(plan, 0);
    }

    /** Runs the i-th of the readers. */
    void run(int reader) {
        plan.run(1 + reader);
    }

    @Override
    public void close() {
        plan.close();
    }
}
