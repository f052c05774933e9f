package dev.gyre.tornado;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.backend.Device;
import uk.ac.manchester.tornado.api.TornadoRuntime;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.enums.TornadoDeviceType;
import uk.ac.manchester.tornado.api.enums.TornadoVMBackendType;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** The devices that TornadoVM sees. */
final class Devices {
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

    /** Whether TornadoVM compiles matrix instructions for the device: CUDA's, from compute capability 8.0 on. */
    static boolean hasTensorCores(TornadoDevice device) {
        return device.getTornadoVMBackend() == TornadoVMBackendType.CUDA;
    }

    /**
     * The device of that id, or the first of a backend named like {@code cuda} or {@code opencl}; null takes the
     * preferred one.
     */
    static TornadoDevice pick(String wanted) {
        List<Device> devices = all();
        String id = wanted == null ? preferred().id() : wanted;
        for (Device device : devices) {
            if (device.id().equals(id) || device.backend().toLowerCase(Locale.ROOT).equals(id)) {
                int colon = device.id().indexOf(':');
                return TornadoRuntimeProvider.getTornadoRuntime()
                        .getBackend(Integer.parseInt(device.id().substring(0, colon)))
                        .getDevice(Integer.parseInt(device.id().substring(colon + 1)));
            }
        }
        String known = devices.stream()
                .map(device -> device.id() + " (" + device.name() + ")")
                .collect(Collectors.joining(", "));
        throw EngineException.usage("--device " + wanted + " is not there; use one of " + known + ".");
    }
}
