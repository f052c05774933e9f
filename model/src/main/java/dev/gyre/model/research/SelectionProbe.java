package dev.gyre.model.research;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
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
    private final RowMeter meter;
    private final TopK best;
    private final int topk;
    private final int every;
    private final List<Sums> layers = new ArrayList<>();
    private final Selection exact = new Selection();

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
        meter = new RowMeter(model.hostOperations());
        best = model.hostOperations().topk();
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
        meter.measure(
                step,
                selection,
                (rows, row) -> rows.visible(row) > topk && rows.position(row) % every == 0,
                this::add);
    }

    private void add(LayerStep step, int row, int[] selected, float[] mass, int massAt, float[] scores) {
        Sums sums = layers.get(step.layer());
        sums.rows++;
        for (int position : selected) {
            sums.mass += mass[massAt + position];
        }
        if (scores != null) {
            exact.resize(step.rows().rows(), topk);
            best.select(scores, step.rows().longest(), step.rows(), row, row + 1, exact);
            int[] wanted = exact.chosen(step.rows(), row);
            sums.wanted += wanted.length;
            sums.recalled += SelectionOverlap.common(wanted, selected);
        }
    }
}
