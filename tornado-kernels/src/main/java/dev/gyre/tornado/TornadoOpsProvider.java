package dev.gyre.tornado;

import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.OpsProvider;
import dev.gyre.tornado.decoder.DecoderOps;
import dev.gyre.tornado.kernels.ProductValues;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.List;

/** {@code --linear-backend tornado}: the whole decoder on a device, or on several. */
public final class TornadoOpsProvider implements OpsProvider {
    /** For {@link java.util.ServiceLoader}. */
    public TornadoOpsProvider() {}

    @Override
    public String name() {
        return "tornado";
    }

    @Override
    public Ops create(ModelConfig config, AttentionBackend attention, List<String> devices, int rows) {
        List<TornadoDevice> picked = Devices.pickAll(devices);
        boolean tensorCores = ProductValues.readable() && picked.stream().allMatch(Devices::hasTensorCores);
        return new DecoderOps(picked, config, attention, rows, TornadoTopK.threads(picked), tensorCores);
    }
}
