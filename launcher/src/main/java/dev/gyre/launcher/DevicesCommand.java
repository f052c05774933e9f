package dev.gyre.launcher;

import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Device;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** {@code engine devices}. */
@Command(
        name = "devices",
        description = "Shows the machine, its devices, and which implementation serves each operation.")
final class DevicesCommand implements Runnable {
    @Mixin
    private JsonFlag json;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        Providers providers = Providers.load();
        Map<String, String> statuses = new LinkedHashMap<>();
        Map<Device, String> devices = new LinkedHashMap<>();
        for (AttentionProvider provider : providers.all()) {
            statuses.put(provider.name(), provider.missing().orElse("available"));
            provider.devices().forEach(device -> devices.put(device, provider.name()));
        }
        statuses.putIfAbsent(Providers.TORNADO, Providers.NO_TORNADO);
        Map<String, String> auto = new LinkedHashMap<>();
        for (Phase phase : Phase.values()) {
            auto.put(phase.label(), providers.choose(phase, Providers.AUTO).name());
        }
        PrintWriter out = spec.commandLine().getOut();
        if (json.wanted()) {
            List<Map<String, String>> implementations = new ArrayList<>();
            statuses.forEach((name, status) -> {
                Map<String, String> row = new LinkedHashMap<>();
                row.put("name", name);
                row.put("status", status);
                implementations.add(row);
            });
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("machine", Machine.describe());
            answer.put("implementations", implementations);
            answer.put("devices", devices.entrySet().stream().map(DevicesCommand::describe).toList());
            answer.put("auto", auto);
            JsonFlag.print(out, answer);
        } else {
            Machine.describe().forEach((name, value) -> out.printf("%-14s %s%n", name, value));
            out.println();
            statuses.forEach((name, status) -> out.printf("%-14s %s%n", name, status));
            out.println();
            devices.forEach((device, implementation) -> out.printf(
                    Locale.ROOT,
                    "device %-7s %s (%s, %.1f GiB, %s), for %s%n",
                    device.id(),
                    device.name(),
                    device.type(),
                    device.memoryBytes() / (double) (1 << 30),
                    device.backend(),
                    implementation));
            auto.forEach((phase, name) -> out.printf("auto %-9s %s%n", phase, name));
        }
    }

    private static Map<String, Object> describe(Map.Entry<Device, String> entry) {
        Device device = entry.getKey();
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("id", device.id());
        row.put("name", device.name());
        row.put("type", device.type());
        row.put("memory_bytes", device.memoryBytes());
        row.put("backend", device.backend());
        row.put("implementation", entry.getValue());
        return row;
    }
}
