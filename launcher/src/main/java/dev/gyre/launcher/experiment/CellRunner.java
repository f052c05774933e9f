package dev.gyre.launcher.experiment;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.policy.SelectionCost;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.generate.Perplexity;
import dev.gyre.model.ops.StepObserver;
import dev.gyre.model.research.LayerStats;
import dev.gyre.model.research.SelectionProbe;

import java.util.List;
import java.util.function.IntConsumer;

/**
 * Measures a cell: the text is run once under the probe and once more against the clock, when the code is warm and
 * indexers that the policy has no use for are idle. Both runs must give the same likelihood.
 *
 * @param options how models are opened, but for the policy and k
 * @param probeEvery as {@link Sweep} has it
 */
public record CellRunner(ModelOptions options, int probeEvery) {
    /** How a cell's model is opened; dense has no k, and with 1 every token but the first is measured. */
    private ModelOptions options(Cell cell) {
        return options.withSelectionPolicy(cell.policy()).withIndexTopk(Math.max(cell.topk(), 1));
    }

    /** Opens the cell's model and closes it: says what is wrong with its policy before anything is computed. */
    void check(Cell cell) {
        Model.open(options(cell)).close();
    }

    /**
     * Measures a cell.
     *
     * @param text its tokens
     * @param progress told how many tokens have been run, of twice the text
     */
    public CellResult run(Cell cell, int[] text, IntConsumer progress) {
        Perplexity result;
        List<LayerStats> layers = List.of();
        try (Model model = Model.open(options(cell).withMeasuredSelection(probeEvery > 0))) {
            SelectionProbe probe = probeEvery > 0 ? new SelectionProbe(model, probeEvery) : null;
            result = Perplexity.measure(
                    model, text, cell.context(), progress, probe == null ? StepObserver.NONE : probe);
            if (probe != null) {
                layers = probe.layers();
            }
        }
        try (Model model = Model.open(options(cell))) {
            long start = System.nanoTime();
            Perplexity timed =
                    Perplexity.measure(model, text, cell.context(), done -> progress.accept(text.length + done));
            double seconds = (System.nanoTime() - start) * 1e-9;
            if (!timed.equals(result)) {
                throw new EngineException("two runs of " + cell + " gave likelihoods of " + result.nll() + " and "
                        + timed.nll() + "; the measurement is void.");
            }
            return new CellResult(
                    cell,
                    result.tokens(),
                    result.nll(),
                    layers,
                    cost(model, cell),
                    text.length,
                    options.threads(),
                    seconds);
        }
    }

    private static SelectionCost cost(Model model, Cell cell) {
        SelectionCost layer = model.selectionPolicy().cost(cell.context());
        int layers = model.config().layers();
        return new SelectionCost(
                layer.selectOperations() * layers,
                layer.selectBytes() * layers,
                layer.attendOperations() * layers,
                layer.attendBytes() * layers);
    }
}
