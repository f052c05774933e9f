package dev.gyre.model.layers;

import dev.gyre.model.ops.Tensor;
import dev.gyre.model.ops.Tensors;

/** Counts what activations would take, and makes none. */
final class TensorBytes implements Tensors {
    private long bytes;

    /** A matrix that is only counted. */
    private record Counted(int capacity, int columns) implements Tensor {}

    @Override
    public Tensor tensor(int capacity, int columns) {
        bytes += (long) capacity * columns * Float.BYTES;
        return new Counted(capacity, columns);
    }

    @Override
    public Tensor columns(Tensor tensor, int from, int count) {
        return new Counted(tensor.capacity(), count);
    }

    long bytes() {
        return bytes;
    }
}
