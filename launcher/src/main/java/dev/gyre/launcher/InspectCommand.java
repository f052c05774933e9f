package dev.gyre.launcher;

import dev.gyre.model.Model;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.research.SelectionInspector;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** {@code engine inspect}. */
@Command(
        name = "inspect",
        description = "Shows which tokens each layer selects to attend to, by which index scores, how much of the "
                + "attention mass they hold, and what selections of layers and of neighbouring tokens have in common.")
final class InspectCommand implements Runnable {
    @Mixin
    private PromptFlags prompt;

    @Mixin
    private PositionsFlag positions;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            description = "write heat maps there: for each layer what the chosen tokens (down) selected (across), and "
                    + "the attention mass; brighter is more")
    private Path folder;

    @Mixin
    private JsonFlag json;

    @Mixin
    private EngineFlags flags;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        if (folder != null) {
            HeatMapImage.prepare(folder);
        }
        try (Model model = flags.openMeasured()) {
            int[] tokens = prompt.tokens(model);
            int[] wanted = positions.of(tokens.length);
            SelectionInspector inspector = new SelectionInspector(model, wanted, tokens.length);
            try (ModelRunner runner = model.runner(1, Math.min(tokens.length, model.contextLength()))) {
                runner.run(
                        List.of(runner.start()),
                        new int[][] {tokens},
                        (s, position, last) -> false,
                        (s, position, logits, at) -> {},
                        inspector);
            }
            List<String> files = folder == null ? List.of() : draw(inspector);
            InspectReport report = new InspectReport(model, tokens, wanted, inspector, files);
            if (json.wanted()) {
                JsonFlag.print(spec.commandLine().getOut(), report.json());
            } else {
                report.print(spec.commandLine().getOut());
            }
        }
    }

    private List<String> draw(SelectionInspector inspector) {
        List<String> files = new ArrayList<>();
        for (int layer = 0; layer < inspector.layers().size(); layer++) {
            SelectionInspector.Layer seen = inspector.layers().get(layer);
            Path selected = folder.resolve(String.format(Locale.ROOT, "layer-%02d-selected.png", layer));
            Path mass = folder.resolve(String.format(Locale.ROOT, "layer-%02d-mass.png", layer));
            HeatMapImage.write(seen.selected(), 1, selected);
            HeatMapImage.write(seen.mass(), 0.25, mass);
            files.add(selected.toString());
            files.add(mass.toString());
        }
        return files;
    }
}
