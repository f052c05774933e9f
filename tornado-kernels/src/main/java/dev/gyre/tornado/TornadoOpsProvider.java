package dev.gyre.tornado;

import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.OpsProvider;
import dev.gyre.tornado.decoder.DecoderOps;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

/** {@code --linear-backend tornado}: the whole decoder on a device. */
public final class TornadoOpsProvider implements OpsProvider {
    /** For {@link java.util.ServiceLoader}. */
    public TornadoOpsProvider() {}

    @Override
    public String name() {
        return "tornado";
    }

    @Override
    public Ops create(ModelConfig config, AttentionBackend attention, String device, int rows) {
        TornadoDevice picked = Devices.pick(device);
        return new DecoderOps(picked, config, attention, rows, TornadoTopK.threads(picked));
    }
}
