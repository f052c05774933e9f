package dev.gyre.benchmarks.gpu;

import dev.gyre.tornado.graph.Settings;

import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.enums.TornadoVMBackendType;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * Times the kernels at DeepSeek-V3.2's shapes, checks every answer, and prints a table with the shares of what the
 * device copies and multiplies in the same run.
 */
public final class GpuReport {
    private GpuReport() {}

    /** {@code [names]}: which of the cases to run; all by default. */
    public static void main(String[] args) {
        Set<String> known = Workloads.NAMES;
        List<String> wanted = args.length == 0 ? List.copyOf(known) : List.of(args);
        if (!known.containsAll(wanted)) {
            System.err.println("run-gpu: the cases are " + String.join(", ", known) + ".");
            System.exit(2);
        }
        Settings.apply();
        TornadoDevice device = TornadoRuntimeProvider.getTornadoRuntime().getDefaultDevice();
        if (device.getTornadoVMBackend() != TornadoVMBackendType.CUDA) {
            System.err.println("run-gpu: the default device is " + device.getPhysicalDevice().getDeviceName()
                    + " through " + device.getTornadoVMBackend()
                    + "; the kernels that are timed need TornadoVM's CUDA backend and an NVIDIA GPU.");
            System.exit(1);
        }
        List<String> lines = new ArrayList<>();
        boolean failed = false;
        double copy = Ceilings.copyBytesPerSecond(device);
        double product = Ceilings.f16FlopsPerSecond(device);
        for (String name : wanted) {
            try {
                Workload work = Workloads.named(name);
                lines.add(line(work, GpuCase.seconds(device, work), copy, product));
            } catch (RuntimeException e) {
                lines.add("| " + name + " | VOID: " + e.getMessage() + " | | | | |");
                failed = true;
            }
            System.err.println(lines.getLast());
        }
        System.out.println(device.getPhysicalDevice().getDeviceName() + ", JDK " + Runtime.version());
        System.out.printf(Locale.ROOT, "copy %.0f GB/s; cuBLAS f16 product of 8192^3 %.0f TFLOP/s%n%n", copy / 1e9,
                product / 1e12);
        System.out.println("| case | time | arithmetic | of cuBLAS | memory | of copy |\n|---|---|---|---|---|---|");
        lines.forEach(System.out::println);
        System.exit(failed ? 1 : 0);
    }

    private static String line(Workload work, double seconds, double copy, double product) {
        double flops = work.flops() / seconds;
        double bytes = work.bytes() / seconds;
        String arithmetic = flops == 0
                ? " | "
                : String.format(Locale.ROOT, "%.0f TFLOP/s | %.0f%%", flops / 1e12, 100 * flops / product);
        return String.format(Locale.ROOT, "| %s | %.1f us | %s | %.0f GB/s | %.0f%% |",
                work.name(), seconds * 1e6, arithmetic, bytes / 1e9, 100 * bytes / copy);
    }
}
