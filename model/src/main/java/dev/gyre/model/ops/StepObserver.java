package dev.gyre.model.ops;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;

/** Looks into a step while it runs; for inspection and tests. */
public interface StepObserver {
    /** Sees nothing. */
    StepObserver NONE = new StepObserver() {};

    /**
     * @param layer what the layer asked, and of whom
     * @param selection of all rows; only valid during the call; k = 0 where every row attends to all that it sees
     */
    default void selected(LayerStep layer, Selection selection) {}

    /**
     * @param layer 0 is the embedding, then the residual stream after each layer
     * @param stream {@code [rows, hidden]}; only valid during the call
     * @param ops to read it with
     */
    default void hidden(int layer, QueryRows rows, Tensor stream, Ops ops) {}
}
