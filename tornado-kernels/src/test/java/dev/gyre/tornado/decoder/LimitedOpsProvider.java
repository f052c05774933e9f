package dev.gyre.tornado.decoder;

import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.OpsProvider;
import dev.gyre.tornado.TornadoDevices;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.List;
import java.util.function.Supplier;

/**
 * Stands before {@link dev.gyre.tornado.TornadoOpsProvider} in tests, with graphs that have as little room as a test
 * wants.
 */
public final class LimitedOpsProvider implements OpsProvider {
    private static GraphCut.Limits limits = GraphCut.Limits.TORNADO;

    /** For {@link java.util.ServiceLoader}. */
    public LimitedOpsProvider() {}

    /** Models that are opened meanwhile have graphs with no more room than that. */
    static <T> T with(GraphCut.Limits room, Supplier<T> what) {
        limits = room;
        try {
            return what.get();
        } finally {
            limits = GraphCut.Limits.TORNADO;
        }
    }

    @Override
    public String name() {
        return "tornado";
    }

    @Override
    public Ops create(ModelConfig config, AttentionBackend attention, List<String> devices, int rows) {
        List<TornadoDevice> picked = TornadoDevices.pick(devices);
        return new DecoderOps(picked, config, attention, rows, TornadoDevices.topkThreads(picked),
                TornadoDevices.tensorCores(), limits);
    }
}
