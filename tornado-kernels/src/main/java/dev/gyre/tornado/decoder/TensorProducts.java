package dev.gyre.tornado.decoder;

import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.MmaBf16LinearKernels;
import dev.gyre.tornado.kernels.MmaLinearKernels;
import dev.gyre.tornado.kernels.RowKernels;
import dev.gyre.tornado.kernels.SplitKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/**
 * The part of the graph that multiplies with weights on tensor cores: FP8 in blocks of 128 x 128, and bf16. What is
 * multiplied is split first, once for all products with it until it changes.
 */
final class TensorProducts {
    /** Columns from which tensor cores pay, with two or three kernels in place of one. */
    private static final int LONG = 1024;
    /** Elements of a matrix beyond which they do too. */
    private static final long LARGE = 1 << 20;
    /** More parts of a product gain nothing. */
    private static final int MOST_PARTS = 16;

    private final Recording recording;
    private final IntArray counts;
    private final int capacity;
    private final int blocks;
    private final IntArray halves = SplitKernels.halves();
    private final IntArray bytes = SplitKernels.bytes();
    private final List<Split> splits = new ArrayList<>();
    /** Parts of products: arrays as large as the largest of all needs, which is known when kernels get them. */
    private final LateArray sums = new LateArray();
    private final LateArray gates = new LateArray();
    private final LateArray ups = new LateArray();

    /**
     * Rows in halves or in three.
     *
     * @param numbers {@code [rows, columns]}
     * @param scales {@code [rows, columns / 128]}
     */
    private static final class Split {
        private final TornadoNativeArray numbers;
        private final FloatArray scales;
        private final int columns;
        /** What was split; null once that has changed. */
        private DeviceTensor source;
        private int place;

        Split(boolean three, int rows, int columns) {
            int size = Math.multiplyExact(rows, columns);
            numbers = three ? DeviceArrays.longs(size) : DeviceArrays.ints(size);
            scales = DeviceArrays.floats(size / MmaLinearKernels.COLUMNS);
            this.columns = columns;
        }
    }

    /**
     * Outputs of a product: groups of them, each with rows of the weight and columns of x.
     *
     * @param outputs of a group
     * @param xColumns columns of x from one group to the next
     * @param weightRows rows of the weight from one group to the next
     * @param firstRow of a group
     */
    record Groups(int groups, int outputs, int xColumns, int weightRows, int firstRow) {
        static Groups one(int outputs) {
            return new Groups(1, outputs, 0, 0, 0);
        }

        /** Matrices of experts, one behind the other. */
        static Groups experts(int experts, int outputs) {
            return new Groups(experts, outputs, 0, outputs, 0);
        }
    }

    /**
     * The rows of every expert.
     *
     * @param lists where each expert's rows begin, and the rows
     * @param active how many experts have rows, and which
     * @param entries of all lists at most
     * @param few how many experts have rows at least, where any has
     */
    record Lists(IntArray lists, IntArray active, int entries, int few) {}

    /** Where a product goes: parts, element (row, column) of each at {@code begin + row * stride + column}. */
    private record Target(int parts, int partSize, int begin, int stride, int groupColumns) {}

    TensorProducts(Recording recording, StepInputs inputs, int capacity, int blocks) {
        this.recording = recording;
        counts = inputs.counts();
        this.capacity = capacity;
        this.blocks = blocks;
    }

    /** Whether the kernels are made for products with this weight. */
    static boolean serves(WeightPool.Place weight, Groups groups) {
        boolean whole = weight.columns() % MmaLinearKernels.COLUMNS == 0
                && groups.outputs() % MmaLinearKernels.OUTPUTS == 0
                && groups.xColumns() % MmaLinearKernels.COLUMNS == 0;
        boolean scaled = weight.blockRows() == MmaLinearKernels.COLUMNS
                && weight.blockUnits() * 4 == MmaLinearKernels.COLUMNS
                && groups.weightRows() % MmaLinearKernels.COLUMNS == 0
                && groups.firstRow() % MmaLinearKernels.OUTPUTS == 0;
        return whole && (weight.format() == Decode.BF16 || weight.format() == Decode.FP8 && scaled);
    }

    /** Whether that is worth it. */
    static boolean pays(WeightPool.Place weight, Groups groups) {
        return weight.columns() >= LONG || (long) weight.columns() * groups.outputs() * groups.groups() > LARGE;
    }

    /** What follows runs on another device, where nothing has been split. */
    void nextStage() {
        splits.forEach(split -> split.source = null);
    }

    /** What was split of this array is not what is in it any longer. */
    void changed(DeviceTensor tensor) {
        for (Split split : splits) {
            if (split.source != null && split.source.data() == tensor.data()) {
                split.source = null;
            }
        }
    }

    /**
     * {@code out = x weight^T}.
     *
     * @param place which number of the step says how many rows there are
     */
    void product(String name, int place, DeviceTensor x, WeightPool.Place weight, Groups groups, DeviceTensor out) {
        product(name, place, split(place, x, weight.format()), weight, groups, out);
    }

    private void product(
            String name, int place, Split split, WeightPool.Place weight, Groups groups, DeviceTensor out) {
        int parts = parts(blocks, groups.groups() * groups.outputs(), weight.columns());
        if (parts == 1) {
            Target target = new Target(1, 0, out.offset(), out.stride(), groups.outputs());
            call(name, place, null, split, weight, groups, target, out::data);
            return;
        }
        int columns = groups.groups() * groups.outputs();
        int size = Math.multiplyExact(capacity, columns);
        sums.reserve((long) parts * size);
        call(name, place, null, split, weight, groups, new Target(parts, size, 0, columns, groups.outputs()), sums::get);
        int op = recording.shape(place, columns, parts, capacity, out.offset(), out.stride());
        recording.call("sum", blocks / 4, RowKernels.BLOCK, 0, call -> call.kernel(SplitKernels::kSumParts, counts,
                recording.shapes(), op, sums.get(), out.data()));
    }

    /**
     * {@code out = (silu(x gate^T) (x up^T)) down^T} for all rows, or for those of every expert; of FP8 weights.
     *
     * @param lists of the experts; null for all rows
     * @param out {@code [rows, hidden]}, or with lists a row for each entry
     */
    void mlp(int place, Lists lists, DeviceTensor x, WeightPool.Place gate, WeightPool.Place up, WeightPool.Place down,
            Groups inner, Groups outer, DeviceTensor out) {
        int rows = lists == null ? capacity : lists.entries();
        int busy = lists == null ? 1 : lists.few();
        int parts = parts(blocks, busy * inner.outputs(), gate.columns());
        int size = Math.multiplyExact(rows, inner.outputs());
        gates.reserve((long) parts * size);
        ups.reserve((long) parts * size);
        Target target = new Target(parts, size, 0, inner.outputs(), 0);
        Split split = split(place, x, gate.format());
        call("gate", place, lists, split, gate, inner, target, gates::get);
        call("up", place, lists, split, up, inner, target, ups::get);
        Split hidden = free(false, rows, inner.outputs());
        IntArray counted = lists == null ? counts : lists.lists();
        int op = recording.shape(lists == null ? place : inner.groups(), inner.outputs() / SplitKernels.BLOCK, parts, rows);
        recording.call("gated", 2, blocks / 2, SplitKernels.BLOCK, SplitKernels.LOCAL_BYTES, call -> call.kernel(
                SplitKernels::kSplitGated, counted, recording.shapes(), op, gates.get(), ups.get(), halves,
                (IntArray) hidden.numbers, hidden.scales));
        if (lists == null) {
            product("down", place, hidden, down, outer, out);
        } else {
            call("down", place, lists, hidden, down, outer, new Target(1, 0, out.offset(), out.stride(), 0), out::data);
        }
    }

    /** Of experts, what has a row for each entry of their lists was split apart from the others and has no source. */
    private void call(String name, int place, Lists lists, Split split, WeightPool.Place weight, Groups groups,
            Target target, Supplier<FloatArray> out) {
        boolean bf16 = weight.format() == Decode.BF16;
        boolean named = lists != null && split.source != null;
        int op = recording.shape(groups.groups(), groups.outputs(), weight.columns() / MmaLinearKernels.COLUMNS,
                target.parts(), lists == null ? 0 : 1, named ? 1 : 0, split.columns / MmaLinearKernels.COLUMNS,
                groups.xColumns() / MmaLinearKernels.COLUMNS, groups.weightRows(), groups.firstRow(), target.begin(),
                target.stride(), target.groupColumns(), target.partSize(), weight.units() * (bf16 ? 2 : 1),
                weight.begin(), weight.scales(), place);
        IntArray rows = lists == null ? counts : lists.lists();
        IntArray active = lists == null ? counts : lists.active();
        long items = (long) groups.groups() * (groups.outputs() / MmaLinearKernels.OUTPUTS) * target.parts();
        int grid = (int) Math.min(items, blocks / 2);
        WeightPool weights = recording.weights();
        if (bf16) {
            recording.call(name, grid, MmaLinearKernels.BLOCK, MmaBf16LinearKernels.LOCAL_BYTES, call -> call.kernel(
                    MmaBf16LinearKernels::kBf16Products, recording.shapes(), op, rows, active, (LongArray) split.numbers,
                    split.scales, weights.ints(weight), out.get()));
        } else {
            recording.call(name, grid, MmaLinearKernels.BLOCK, MmaLinearKernels.LOCAL_BYTES, call -> call.kernel(
                    MmaLinearKernels::kProducts, recording.shapes(), op, rows, active, (IntArray) split.numbers,
                    split.scales, weights.ints(weight), weights.floats(), out.get()));
        }
    }

    /** How many parts give every multiprocessor a few blocks, each with two steps at least. */
    static int parts(int blocks, int outputs, int columns) {
        int tiles = Math.max(1, outputs / MmaLinearKernels.OUTPUTS);
        int most = Math.max(1, columns / MmaLinearKernels.COLUMNS / 2);
        return Math.clamp(Math.ceilDiv(blocks / 4, tiles), 1, Math.min(MOST_PARTS, most));
    }

    private Split split(int place, DeviceTensor x, int format) {
        boolean three = format == Decode.BF16;
        for (Split split : splits) {
            if (x.equals(split.source) && split.place == place && three == split.numbers instanceof LongArray) {
                return split;
            }
        }
        Split split = free(three, capacity, x.columns());
        split.source = x;
        split.place = place;
        int op = recording.shape(place, x.columns() / SplitKernels.BLOCK, x.offset(), x.stride());
        recording.call("split", 2, blocks / 2, SplitKernels.BLOCK, SplitKernels.LOCAL_BYTES, call -> three
                ? call.kernel(SplitKernels::kSplitThree, counts, recording.shapes(), op, x.data(), bytes,
                        (LongArray) split.numbers, split.scales)
                : call.kernel(SplitKernels::kSplit, counts, recording.shapes(), op, x.data(), halves,
                        (IntArray) split.numbers, split.scales));
        return split;
    }

    /** One that nothing needs any longer, or a new one. */
    private Split free(boolean three, int rows, int columns) {
        int size = Math.multiplyExact(rows, columns);
        for (Split split : splits) {
            if (split.source == null && split.numbers.getSize() == size && split.columns == columns
                    && three == split.numbers instanceof LongArray) {
                return split;
            }
        }
        Split split = new Split(three, rows, columns);
        splits.add(split);
        return split;
    }
}
