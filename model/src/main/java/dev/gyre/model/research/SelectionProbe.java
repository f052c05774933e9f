package dev.gyre.model.research;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.policy.HostOperations;
import dev.gyre.model.Model;
import dev.gyre.model.ops.StepObserver;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Measures what every layer's selections keep, while a model runs:
 *
 * <pre>{@code
 * try (Model model = Model.open(ModelOptions.defaults().withSelectionPolicy("recent").withMeasuredSelection(true))) {
 *     SelectionProbe probe = new SelectionProbe(model, 16);
 *     Perplexity.measure(model, text, 4096, done -> {}, probe);
 *     probe.layers().forEach(System.out::println);
 * }
 * }</pre>
 *
 * Only rows that see more than index_topk tokens are measured: the others have nothing to select. Both measures need as
 * much work as dense attention, which {@code every} makes less. One thread at a time.
 */
public final class SelectionProbe implements StepObserver {
    /** Rows that are measured together. */
    private static final int GROUP = 32;

    private final HostOperations operations;
    private final int topk;
    private final int every;
    private final List<Sums> layers = new ArrayList<>();
    private final int[] chosen = new int[GROUP];
    private final Selection exact = new Selection();
    private float[] values = new float[0];

    /** Sums over the rows of a layer. */
    private static final class Sums {
        long rows;
        double mass;
        long recalled;
        /** How many tokens the indexer would have selected. */
        long wanted;
    }

    /** @param every measures the rows at positions that are multiples of this; 1 for all */
    public SelectionProbe(Model model, int every) {
        if (every < 1) {
            throw EngineException.usage("every how many rows are measured must be at least 1, not " + every + ".");
        }
        if (!model.config().isSparse()) {
            throw new EngineException(model.where() + " has no indexer, so there are no selections to measure.");
        }
        this.every = every;
        operations = model.hostOperations();
        topk = model.config().indexer().topk();
        IntStream.range(0, model.config().layers()).forEach(layer -> layers.add(new Sums()));
    }

    /** What was measured so far, by layer. */
    public List<LayerStats> layers() {
        return IntStream.range(0, layers.size()).mapToObj(layer -> {
            Sums sums = layers.get(layer);
            return new LayerStats(layer, sums.rows, (double) sums.recalled / sums.wanted, sums.mass / sums.rows);
        }).toList();
    }

    @Override
    public void selected(LayerStep step, Selection selection) {
        QueryRows rows = step.rows();
        int count = 0;
        for (int row = 0; row < rows.rows(); row++) {
            if (rows.visible(row) > topk && rows.position(row) % every == 0) {
                chosen[count++] = row;
            }
            if (count == GROUP || row == rows.rows() - 1 && count > 0) {
                measure(step, selection, count);
                count = 0;
            }
        }
    }

    private void measure(LayerStep step, Selection selection, int count) {
        int stride = step.rows().longest();
        if (values.length < Math.multiplyExact(count, stride)) {
            values = new float[Math.multiplyExact(count, stride)];
        }
        Sums sums = layers.get(step.layer());
        sums.rows += count;
        operations.mass().mass(step.queries(), step.latents(), step.rows(), chosen, count, values, stride);
        for (int i = 0; i < count; i++) {
            for (int position : selection.chosen(step.rows(), chosen[i])) {
                sums.mass += values[i * stride + position];
            }
        }
        if (step.index() != null) {
            exact.resize(step.rows().rows(), topk);
            for (int i = 0; i < count; i++) {
                int row = chosen[i];
                operations.indexer().score(step.index(), step.keys(), step.rows(), row, row + 1, values, stride);
                operations.topk().select(values, stride, step.rows(), row, row + 1, exact);
                int[] wanted = exact.chosen(step.rows(), row);
                sums.wanted += wanted.length;
                sums.recalled += SelectionOverlap.common(wanted, selection.chosen(step.rows(), row));
            }
        }
    }
}
