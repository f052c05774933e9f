package dev.gyre.launcher;

import dev.gyre.launcher.experiment.Experiment;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code engine experiment}. */
@Command(
        name = "experiment",
        description = "Measures selection policies: what they lose (perplexity, recall of the indexer's selection, "
                + "attention mass) and what they cost, for every combination of policy, k, context and text.")
final class ExperimentCommand implements Runnable {
    @Mixin
    private SweepFlags sweep;

    @Mixin
    private EngineFlags flags;

    @Override
    public void run() {
        try (Experiment experiment = sweep.open(flags.options())) {
            try (Progress progress = sweep.progress(experiment)) {
                experiment.run(progress::reach);
            }
            sweep.finish(experiment);
        }
    }
}
