package dev.gyre.launcher;

import dev.gyre.attention.backend.AttentionProvider;
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
import java.util.Map;

/** {@code engine devices}. */
@Command(name = "devices", description = "Shows the machine and which implementation serves each operation.")
final class DevicesCommand implements Runnable {
    @Mixin
    private JsonFlag json;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        PrintWriter out = spec.commandLine().getOut();
        Providers providers = Providers.load();
        Map<String, Object> machine = Machine.describe();
        List<Map<String, String>> implementations = new ArrayList<>();
        for (AttentionProvider provider : providers.all()) {
            Map<String, String> row = new LinkedHashMap<>();
            row.put("name", provider.name());
            row.put("status", provider.missing().orElse("available"));
            implementations.add(row);
        }
        Map<String, String> auto = new LinkedHashMap<>();
        for (Phase phase : Phase.values()) {
            auto.put(phase.label(), providers.choose(phase, Providers.AUTO).name());
        }
        if (json.wanted()) {
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("machine", machine);
            answer.put("implementations", implementations);
            answer.put("auto", auto);
            JsonFlag.print(out, answer);
        } else {
            machine.forEach((name, value) -> out.printf("%-14s %s%n", name, value));
            out.println();
            implementations.forEach(row -> out.printf("%-14s %s%n", row.get("name"), row.get("status")));
            out.println();
            auto.forEach((phase, name) -> out.printf("auto %-9s %s%n", phase, name));
        }
    }
}
