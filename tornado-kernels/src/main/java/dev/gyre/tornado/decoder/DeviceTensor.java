package dev.gyre.tornado.decoder;

import dev.gyre.model.ops.Tensor;
import dev.gyre.tornado.graph.DeviceArrays;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * A matrix on the device, or some columns of one: element (r, c) is {@code data[offset + r * stride + c]}. The host's copy
 * of the array is never read.
 */
record DeviceTensor(FloatArray data, int offset, int stride, int capacity, int columns) implements Tensor {
    static DeviceTensor allocate(int capacity, int columns) {
        return new DeviceTensor(
                DeviceArrays.floats(Math.multiplyExact(capacity, columns)), 0, columns, capacity, columns);
    }

    static DeviceTensor of(Tensor tensor) {
        return (DeviceTensor) tensor;
    }

    DeviceTensor columns(int from, int count) {
        return new DeviceTensor(data, offset + from, stride, capacity, count);
    }

    /** The array of a matrix that is not a view. */
    FloatArray packed() {
        if (offset != 0 || stride != columns) {
            throw new IllegalStateException("a view has no array of its own");
        }
        return data;
    }
}
