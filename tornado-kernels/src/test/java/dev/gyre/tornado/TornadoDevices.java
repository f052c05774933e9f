package dev.gyre.tornado;

import uk.ac.manchester.tornado.api.common.TornadoDevice;

/** The device that tests in other packages run on. */
public final class TornadoDevices {
    private TornadoDevices() {}

    /** The one that {@code auto} takes. */
    public static TornadoDevice preferred() {
        return Devices.pick(null);
    }
}
