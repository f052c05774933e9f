package dev.gyre.tornado;

import uk.ac.manchester.tornado.api.common.TornadoDevice;

/** The device that tests in other packages run on. */
public final class TornadoDevices {
    private TornadoDevices() {}

    /** The one that {@code auto} takes. */
    public static TornadoDevice preferred() {
        return pick(null);
    }

    /** The one that {@code --device} means. */
    public static TornadoDevice pick(String wanted) {
        return Devices.pick(wanted);
    }

    /** Threads of a block that selects there. */
    public static int topkThreads(TornadoDevice device) {
        return TornadoTopK.threads(device);
    }
}
