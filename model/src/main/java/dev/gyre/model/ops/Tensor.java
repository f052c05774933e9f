package dev.gyre.model.ops;

/** An f32 activation matrix {@code [capacity, columns]} in the memory of the {@link Ops} that made it. */
public interface Tensor {
    /** How many rows there is room for; an operation says how many it uses. */
    int capacity();

    /** Width of a row. */
    int columns();
}
