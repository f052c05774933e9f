package dev.gyre.model.ops.cpu;

import dev.gyre.attention.EngineException;
import dev.gyre.model.ops.Tensor;

/**
 * A matrix in a Java array, or some columns of one: element (r, c) is {@code data[offset + r * stride + c]}.
 */
public record HostTensor(float[] data, int offset, int stride, int capacity, int columns) implements Tensor {
    /** A new matrix of zeros. */
    public static HostTensor allocate(int capacity, int columns) {
        long size = (long) capacity * columns;
        if (size > Integer.MAX_VALUE - 8) {
            throw new EngineException("a step of " + capacity + " tokens needs an activation of " + columns
                    + " values each, more than a Java array holds; use a smaller --prefill-chunk.");
        }
        return new HostTensor(new float[(int) size], 0, columns, capacity, columns);
    }

    /** The tensor of the CPU's operations that it is. */
    static HostTensor of(Tensor tensor) {
        return (HostTensor) tensor;
    }

    /** A view of some columns. */
    HostTensor columns(int from, int count) {
        if (from < 0 || count < 1 || from + count > columns) {
            throw new IndexOutOfBoundsException("columns " + from + " + " + count + " of " + columns);
        }
        return new HostTensor(data, offset + from, stride, capacity, count);
    }

    /** A view of some rows. */
    HostTensor rows(int from, int count) {
        if (from < 0 || count < 0 || from + count > capacity) {
            throw new IndexOutOfBoundsException("rows " + from + " + " + count + " of " + capacity);
        }
        return new HostTensor(data, row(from), stride, count, columns);
    }

    /** Where a row begins in {@link #data}. */
    public int row(int row) {
        return offset + row * stride;
    }

    /** The array of a matrix that is not a view: {@code [capacity, columns]} without gaps. */
    float[] packed() {
        if (offset != 0 || stride != columns) {
            throw new IllegalStateException("a view has no array of its own");
        }
        return data;
    }
}
