package dev.gyre.model.research;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;
import dev.gyre.model.Model;
import dev.gyre.model.ops.StepObserver;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Looks at what each layer selected for chosen tokens of one sequence, run from its start: the positions, the attention
 * mass on them, and the index scores that they were selected by. One thread at a time.
 */
public final class SelectionInspector implements StepObserver {
    private final RowMeter meter;
    private final int[] positions;
    private final List<Layer> layers;
    private final SelectionOverlap overlap;

    /**
     * What a layer selected for one token.
     *
     * @param positions ascending
     * @param mass the share of the attention mass over all that the token sees which falls on them, the mean over heads
     */
    public record Row(int[] positions, double mass) {}

    /**
     * What is known of a layer.
     *
     * @param rows by the position of the token
     * @param scores of all tokens that those of the chosen ones see which did not select everything; empty where the
     *     layer ran no indexer
     * @param selected 1 where a chosen token (down) selected another (across)
     * @param mass the attention mass of chosen tokens (down) on others (across)
     */
    public record Layer(Map<Integer, Row> rows, ScoreHistogram scores, HeatMap selected, HeatMap mass) {}

    /**
     * @param model to be run
     * @param positions of the chosen tokens, ascending
     * @param length tokens of the sequence
     */
    public SelectionInspector(Model model, int[] positions, int length) {
        if (!model.config().isSparse()) {
            throw new EngineException(model.where() + " has no indexer, so there are no selections to look at.");
        }
        this.positions = positions.clone();
        meter = new RowMeter(model.hostOperations());
        layers = IntStream.range(0, model.config().layers())
                .mapToObj(layer -> new Layer(
                        new TreeMap<>(),
                        new ScoreHistogram(),
                        new HeatMap(positions.length, length),
                        new HeatMap(positions.length, length)))
                .toList();
        overlap = new SelectionOverlap(model.config().layers(), model.config().indexer().topk());
    }

    /** What was seen, by layer. */
    public List<Layer> layers() {
        return layers;
    }

    /** What all tokens' selections, not only those of the chosen, have in common. */
    public SelectionOverlap overlap() {
        return overlap;
    }

    @Override
    public void selected(LayerStep step, Selection selection) {
        overlap.selected(step, selection);
        meter.measure(
                step, selection, (rows, row) -> Arrays.binarySearch(positions, rows.position(row)) >= 0, this::add);
    }

    private void add(LayerStep step, int row, int[] selected, float[] mass, int massAt, float[] scores) {
        Layer layer = layers.get(step.layer());
        int position = step.rows().position(row);
        int y = Arrays.binarySearch(positions, position);
        double kept = 0;
        int next = 0;
        for (int s = 0; s <= position; s++) {
            boolean isSelected = next < selected.length && selected[next] == s;
            if (isSelected) {
                next++;
                kept += mass[massAt + s];
                layer.selected.add(y, s, 1);
            }
            layer.mass.add(y, s, mass[massAt + s]);
            if (scores != null && selected.length <= position) {
                layer.scores.add(scores[s], isSelected);
            }
        }
        layer.rows.put(position, new Row(selected, kept));
    }
}
