package dev.gyre.launcher.experiment;

import dev.gyre.attention.EngineException;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * A sweep under way, to be closed: its cells, the tokens of its texts, and the folder with what is measured already.
 * Cells run one after the other, each on all threads of the engine: side by side they would be in each other's times. A
 * cell is the same wherever it runs, so that {@code benchmarks}' Spark job measures {@link #missing()} on other
 * machines.
 *
 * <p>Not safe for threads that {@link #keep} at once.
 */
public final class Experiment implements AutoCloseable {
    private final Setup setup;
    private final List<Cell> cells;
    private final Map<String, int[]> texts = new TreeMap<>();
    private final CellRunner runner;
    private final ResultFolder folder;
    private final List<CellResult> results = new ArrayList<>();

    private Experiment(Setup setup, List<int[]> tokens, CellRunner runner, Path folder) {
        this.setup = setup;
        this.runner = runner;
        cells = setup.sweep().cells();
        for (int i = 0; i < tokens.size(); i++) {
            texts.put(setup.sweep().texts().get(i), tokens.get(i));
        }
        Set<String> checked = new HashSet<>();
        for (Cell cell : cells) {
            if (checked.add(cell.policy() + " " + cell.topk())) { // text and context do not matter to a policy
                runner.check(cell);
            }
        }
        this.folder = ResultFolder.open(folder, setup);
        for (int i = 0; i < cells.size(); i++) {
            results.add(this.folder.find(i, cells.get(i)).orElse(null));
        }
    }

    /** Told how far an experiment is. */
    public interface Listener {
        /**
         * @param done cells that are measured
         * @param what the cell under way, and how far
         */
        void reached(int done, String what);
    }

    /**
     * Begins an experiment, or goes on with the one in the folder. Every cell is checked before anything is computed or
     * written.
     *
     * @param version of the program, whose results are not another one's
     * @param contents of the sweep's texts
     * @param options how models are opened; policy and k are the sweep's
     */
    public static Experiment open(
            String version, Sweep sweep, List<String> contents, ModelOptions options, Path folder) {
        if (options.selectionPolicy() != null || options.indexTopk() > 0) {
            throw EngineException.usage("--selection-policy and --index-topk are a sweep's to say; "
                    + "use --policies and --topk.");
        }
        Setup setup;
        List<int[]> tokens;
        try (Model model = Model.open(options)) {
            tokens = contents.stream().map(model.tokenizer()::encodeWithBos).toList();
            check(sweep, tokens, model);
            setup = Setup.of(version, sweep, tokens, model);
        }
        return new Experiment(setup, tokens, new CellRunner(options, sweep.probeEvery()), folder);
    }

    private static void check(Sweep sweep, List<int[]> tokens, Model model) {
        if (!model.config().isSparse()) {
            throw new EngineException(
                    model.where() + " has no indexer, so there is nothing to select; an experiment needs one.");
        }
        int longest = Collections.max(sweep.contexts());
        if (longest > model.contextLength()) {
            throw new EngineException("a context of " + longest + " tokens is beyond the model's "
                    + model.contextLength() + "; give smaller contexts.");
        }
        for (int i = 0; i < tokens.size(); i++) {
            if (longest > tokens.get(i).length) {
                throw new EngineException(sweep.texts().get(i) + " has " + tokens.get(i).length + " tokens, fewer than the "
                        + "context of " + longest + "; give a longer text or smaller contexts.");
            }
        }
    }

    /** All cells, in the order of the report. */
    public List<Cell> cells() {
        return cells;
    }

    /** The numbers of the cells that are not measured yet. */
    public List<Integer> missing() {
        List<Integer> missing = new ArrayList<>();
        for (int i = 0; i < cells.size(); i++) {
            if (results.get(i) == null) {
                missing.add(i);
            }
        }
        return missing;
    }

    /** How many cells are measured. */
    public int done() {
        return cells.size() - missing().size();
    }

    /** The text of a cell. */
    public int[] tokens(Cell cell) {
        return texts.get(cell.text());
    }

    /** How a cell is measured. */
    public CellRunner runner() {
        return runner;
    }

    /** Keeps what was measured at a cell, on disk. */
    public void keep(int number, CellResult result) {
        folder.keep(number, result);
        results.set(number, result);
    }

    /** Measures here what is missing. */
    public void run(Listener listener) {
        for (int number : missing()) {
            Cell cell = cells.get(number);
            int[] text = tokens(cell);
            int done = done();
            listener.reached(done, cell.toString());
            keep(number, runner.run(cell, text, ran -> listener.reached(
                    done, cell + ", " + 50L * ran / text.length + "%")));
        }
    }

    /**
     * Writes the report of a sweep whose cells are all measured.
     *
     * @param machine what the report says it was made on
     */
    public Report report(Map<String, Object> machine) {
        if (!missing().isEmpty()) {
            throw new IllegalStateException("cells are missing: " + missing());
        }
        return new Report(setup, machine, List.copyOf(results));
    }

    /** Where everything is. */
    public ResultFolder folder() {
        return folder;
    }

    /** Lets other processes go on with it. */
    @Override
    public void close() {
        folder.close();
    }
}
