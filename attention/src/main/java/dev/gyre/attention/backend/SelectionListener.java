package dev.gyre.attention.backend;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;

/** Learns what a layer selected, while the step runs. */
@FunctionalInterface
public interface SelectionListener {
    /** Does nothing. */
    SelectionListener NONE = (step, selection) -> {};

    /**
     * @param selection of all rows of the step; only valid during the call. Empty (k = 0) where every row attends to
     *     everything that it sees
     */
    void selected(LayerStep step, Selection selection);
}
