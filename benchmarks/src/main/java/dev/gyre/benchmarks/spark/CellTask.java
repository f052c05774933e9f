package dev.gyre.benchmarks.spark;

import dev.gyre.attention.EngineException;
import dev.gyre.launcher.experiment.Cell;
import dev.gyre.launcher.experiment.CellRunner;

import java.io.Serializable;

/**
 * What goes to the machine that measures a cell.
 *
 * @param tokens of the text
 * @param probeEvery as the sweep has it
 * @param options how the model is opened
 */
record CellTask(Cell cell, int[] tokens, int probeEvery, SentOptions options) implements Serializable {
    /**
     * What comes back.
     *
     * @param result as JSON; null where it failed
     * @param failure a sentence; null where there is none
     */
    record Answer(String result, String failure) implements Serializable {}

    /** Measures the cell. What fails fails everywhere: it is told, so that Spark does not try it again. */
    Answer run() {
        try {
            CellRunner runner = new CellRunner(options.options(), probeEvery);
            return new Answer(runner.run(cell, tokens, ran -> {}).json(), null);
        } catch (EngineException e) {
            return new Answer(null, cell + ": " + e.getMessage());
        }
    }
}
