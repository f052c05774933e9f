package dev.gyre.tornado;

import dev.gyre.attention.backend.Device;
import dev.gyre.tornado.graph.Settings;
import uk.ac.manchester.tornado.api.TornadoRuntime;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.enums.TornadoDeviceType;
import uk.ac.manchester.tornado.api.enums.TornadoVMBackendType;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

import java.util.ArrayList;
import java.util.List;

/** The devices that TornadoVM sees. */
final class Devices {
    static {
        Settings.apply();
    }

    private Devices() {}

    /** All of them; an id is the backend's number, a colon and the device's number there. */
    static List<Device> all() {
        TornadoRuntime runtime = TornadoRuntimeProvider.getTornadoRuntime();
        List<Device> devices = new ArrayList<>();
        for (int backend = 0; backend < runtime.getNumBackends(); backend++) {
            for (int i = 0; i < runtime.getBackend(backend).getNumDevices(); i++) {
                TornadoDevice device = runtime.getBackend(backend).getDevice(i);
                devices.add(new Device(
                        backend + ":" + i,
                        device.getPhysicalDevice().getDeviceName().strip(),
                        device.getDeviceType().name(),
                        device.getPhysicalDevice().getDeviceGlobalMemorySize(),
                        runtime.getBackendType(backend).name()));
            }
        }
        return devices;
    }

    /** The device that {@code auto} takes: a GPU where there is one, of CUDA's before the others'. */
    static Device preferred() {
        List<Device> devices = all();
        Device best = devices.getFirst();
        for (Device device : devices) {
            if (rank(device) > rank(best)) {
                best = device;
            }
        }
        return best;
    }

    private static int rank(Device device) {
        return (isGpu(device) ? 2 : 0) + (device.backend().equals("CUDA") ? 1 : 0);
    }

    static boolean isGpu(Device device) {
        return device.type().equals(TornadoDeviceType.GPU.name());
    }

    /** Whether TornadoVM can compile matrix instructions for the device: CUDA's (before Ampere it refuses to). */
    static boolean hasTensorCores(TornadoDevice device) {
        return device.getTornadoVMBackend() == TornadoVMBackendType.CUDA;
    }

    /** The devices that are meant, in this order; an empty list takes the preferred one. */
    static List<TornadoDevice> pickAll(List<String> wanted) {
        return wanted.isEmpty() ? List.of(pick(null)) : wanted.stream().map(Devices::pick).toList();
    }

    /** The first of {@link #all} that is meant; null takes the preferred one. */
    static TornadoDevice pick(String wanted) {
        String id = wanted == null
                ? preferred().id()
                : all().stream().filter(device -> device.is(wanted)).findFirst().orElseThrow().id();
        int colon = id.indexOf(':');
        return TornadoRuntimeProvider.getTornadoRuntime()
                .getBackend(Integer.parseInt(id.substring(0, colon)))
                .getDevice(Integer.parseInt(id.substring(colon + 1)));
    }
}
