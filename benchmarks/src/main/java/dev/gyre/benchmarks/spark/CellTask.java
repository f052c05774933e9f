package dev.gyre.benchmarks.spark;

import dev.gyre.attention.EngineException;
import dev.gyre.launcher.experiment.Cell;
import dev.gyre.launcher.experiment.CellRunner;
import dev.gyre.model.ModelOptions;

import java.io.Serializable;
import java.nio.file.Path;

/**
 * What goes to the machine that measures a cell.
 *
 * @param tokens of the text
 * @param probeEvery as the sweep has it
 * @param model a folder that all machines see; null for the embedded model
 * @param threads of the engine
 */
record CellTask(Cell cell, int[] tokens, int probeEvery, String model, int threads) implements Serializable {
    /**
     * What comes back.
     *
     * @param result as JSON; null where it failed
     * @param failure a sentence; null where there is none
     */
    record Answer(String result, String failure) implements Serializable {}

    /** How the model is opened, here and on the machines. */
    static ModelOptions options(String model, int threads) {
        return ModelOptions.defaults().withModel(model == null ? null : Path.of(model)).withThreads(threads);
    }

    /** Measures the cell. What fails fails everywhere: it is told, so that Spark does not try it again. */
    Answer run() {
        try {
            CellRunner runner = new CellRunner(options(model, threads), probeEvery);
            return new Answer(runner.run(cell, tokens, ran -> {}).json(), null);
        } catch (EngineException e) {
            return new Answer(null, cell + ": " + e.getMessage());
        }
    }
}
