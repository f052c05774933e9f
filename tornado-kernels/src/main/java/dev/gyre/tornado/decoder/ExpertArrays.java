package dev.gyre.tornado.decoder;

import dev.gyre.model.config.ModelConfig;
import dev.gyre.tornado.graph.DeviceArrays;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.stream.IntStream;

/**
 * What mixtures of experts keep between their kernels; one serves all layers. Shapes as in
 * {@link dev.gyre.tornado.kernels.ExpertKernels}.
 *
 * @param all the list of the shared expert: its begin, its end, and all rows
 */
record ExpertArrays(
        FloatArray logits,
        FloatArray work,
        IntArray taken,
        IntArray chosen,
        FloatArray weights,
        IntArray lists,
        IntArray places,
        FloatArray hidden,
        FloatArray down,
        IntArray all,
        FloatArray sharedHidden,
        FloatArray sharedDown) {
    static ExpertArrays allocate(int capacity, int columns, ModelConfig.Moe moe) {
        int entries = Math.multiplyExact(capacity, moe.perToken());
        IntArray all = DeviceArrays.ints(2 + capacity);
        IntStream.range(0, capacity).forEach(row -> all.set(2 + row, row));
        int shared = Math.max(1, moe.shared() * moe.intermediate());
        return new ExpertArrays(
                DeviceArrays.floats(capacity * moe.experts()),
                DeviceArrays.floats(capacity * (2 * moe.experts() + moe.groups())),
                DeviceArrays.ints(capacity * (moe.experts() + moe.groups())),
                DeviceArrays.ints(entries),
                DeviceArrays.floats(entries),
                DeviceArrays.ints(moe.experts() + 1 + entries),
                DeviceArrays.ints(entries),
                DeviceArrays.floats(Math.multiplyExact(entries, moe.intermediate())),
                DeviceArrays.floats(Math.multiplyExact(entries, columns)),
                all,
                DeviceArrays.floats(Math.multiplyExact(capacity, shared)),
                DeviceArrays.floats(Math.multiplyExact(capacity, columns)));
    }
}
