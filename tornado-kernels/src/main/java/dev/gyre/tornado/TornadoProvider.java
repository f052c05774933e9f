package dev.gyre.tornado;

import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;
import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Device;
import dev.gyre.attention.backend.Resources;

import java.util.List;
import java.util.Optional;

/**
 * The implementation {@code tornado}. {@code auto} takes it where there is a GPU; on an OpenCL device that is the
 * processor itself the Vector API is faster. Links without TornadoVM: only what runs on a device touches its classes.
 */
public final class TornadoProvider implements AttentionProvider {
    private Optional<String> missing;

    /** For {@link java.util.ServiceLoader}. */
    public TornadoProvider() {}

    @Override
    public String name() {
        return "tornado";
    }

    @Override
    public int preference() {
        return missing().isEmpty() && Devices.isGpu(Devices.preferred()) ? 20 : -1;
    }

    @Override
    public Optional<String> missing() {
        if (missing == null) {
            missing = findOut();
        }
        return missing;
    }

    private static Optional<String> findOut() {
        if (TornadoProvider.class.getClassLoader().getResource("uk/ac/manchester/tornado/api/TaskGraph.class") == null
                && ModuleLayer.boot().findModule("tornado.api").isEmpty()) {
            return Optional.of("TornadoVM is not running; install its SDK, set TORNADOVM_HOME to it and start with ./engine");
        }
        try {
            return Devices.all().isEmpty()
                    ? Optional.of("TornadoVM sees no device; install an OpenCL or CUDA driver")
                    : Optional.empty();
        } catch (RuntimeException | LinkageError e) {
            // whatever its start-up throws, the others can still run
            return Optional.of("TornadoVM does not start (" + e + "); start with ./engine and TORNADOVM_HOME set");
        }
    }

    @Override
    public boolean runsDecoder() {
        return true;
    }

    @Override
    public List<Device> devices() {
        return missing().isEmpty() ? Devices.all() : List.of();
    }

    @Override
    public IndexScorer indexScorer(Resources resources) {
        return new TornadoIndexScorer(Devices.pick(resources.device()));
    }

    @Override
    public TopK topK(Resources resources) {
        return new TornadoTopK(Devices.pick(resources.device()));
    }

    @Override
    public LatentAttention latentAttention(Resources resources) {
        return new TornadoLatentAttention(Devices.pick(resources.device()));
    }
}
