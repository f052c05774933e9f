package dev.gyre.model.ops;

/** Makes activation matrices. */
public interface Tensors {
    /** A new activation matrix of unspecified content. */
    Tensor tensor(int capacity, int columns);

    /** A view of some columns of a matrix. */
    Tensor columns(Tensor tensor, int from, int count);
}
