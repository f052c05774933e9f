package dev.gyre.tornado;

import dev.gyre.attention.backend.Providers;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

import java.util.List;

/** The device that tests in other packages run on. */
public final class TornadoDevices {
    private TornadoDevices() {}

    /** The one that {@code auto} takes. */
    public static TornadoDevice preferred() {
        return Devices.pick(null);
    }

    /** Whether it is known and has NVIDIA's tensor cores. */
    public static boolean tensorCores() {
        return Providers.load().all().stream()
                        .filter(provider -> provider.name().equals("tornado"))
                        .allMatch(provider -> provider.missing().isEmpty())
                && Devices.hasTensorCores(preferred());
    }

    /** Those that {@code --devices} means. */
    public static List<TornadoDevice> pick(List<String> wanted) {
        return Devices.pickAll(wanted);
    }

    /** Threads of a block that selects there. */
    public static int topkThreads(List<TornadoDevice> devices) {
        return TornadoTopK.threads(devices);
    }
}
