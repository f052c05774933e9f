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
 * @param active how many experts have rows, and which
 * @param all the list of the shared expert: its begin, its end, and all rows
 */
record ExpertArrays(
        FloatArray logits,
        IntArray chosen,
        FloatArray weights,
        IntArray lists,
        IntArray places,
        IntArray active,
        LateArray hidden,
        FloatArray down,
        IntArray all,
        LateArray sharedHidden,
        FloatArray sharedDown) {
    static ExpertArrays allocate(int capacity, int columns, ModelConfig.Moe moe) {
        int entries = Math.multiplyExact(capacity, moe.perToken());
        IntArray all = DeviceArrays.ints(2 + capacity);
        IntStream.range(0, capacity).forEach(row -> all.set(2 + row, row));
        int shared = Math.max(1, moe.shared() * moe.intermediate());
        return new ExpertArrays(
                DeviceArrays.floats(capacity * moe.experts()),
                DeviceArrays.ints(entries),
                DeviceArrays.floats(entries),
                DeviceArrays.ints(moe.experts() + 1 + entries),
                DeviceArrays.ints(entries),
                DeviceArrays.ints(1 + moe.experts()),
                new LateArray().reserve(Math.multiplyExact(entries, moe.intermediate())),
                DeviceArrays.floats(Math.multiplyExact(entries, columns)),
                all,
                new LateArray().reserve(Math.multiplyExact(capacity, shared)),
                DeviceArrays.floats(Math.multiplyExact(capacity, columns)));
    }
}
