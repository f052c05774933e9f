package dev.gyre.tornado.decoder;

import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.ops.MlaShape;
import dev.gyre.model.ops.RopeTable;
import dev.gyre.tornado.kernels.LinearKernels;
import dev.gyre.tornado.kernels.RowKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/** The part of the graph that takes row by row: products with weights, norms, rotations and sums. */
final class RowCalls {
    private final Recording recording;
    private final StepInputs inputs;
    private final int capacity;
    private final int blocks;
    private final FloatArray table;
    /** Null without tensor cores. */
    private final TensorProducts tensor;
    private final Map<RopeTable, FloatArray> angles = new IdentityHashMap<>();
    /** Which number of the step says how many rows an operation has: behind gather it is the outputs. */
    private int place = StepInputs.ROWS;

    /** @param tensor takes the products that tensor cores can make; null without them */
    RowCalls(Recording recording, StepInputs inputs, int capacity, int blocks, FloatArray table, TensorProducts tensor) {
        this.recording = recording;
        this.inputs = inputs;
        this.capacity = capacity;
        this.blocks = blocks;
        this.table = table;
        this.tensor = tensor;
    }

    /** What follows runs on another device. */
    void nextStage() {
        if (tensor != null) {
            tensor.nextStage();
        }
    }

    /** What is in a tensor is not what was in it. */
    void changed(DeviceTensor tensor) {
        if (this.tensor != null) {
            this.tensor.changed(tensor);
        }
    }

    /** The weights of the stage whose kernels are recorded, or whose calls are made. */
    private WeightPool weights() {
        return recording.weights();
    }

    void embed(Weight embedding, DeviceTensor out) {
        WeightPool.Place weight = weights().place(List.of(embedding));
        int op = recording.shape(join(
                new int[] {place, out.columns(), out.offset(), out.stride()}, weight.numbers()));
        recording.call("embed", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kEmbed, inputs.counts(),
                recording.shapes(), op, inputs.tokens(), weights().ints(weight), weights().floats(), table,
                out.data()));
        changed(out);
    }

    /** The rows that are wanted, which all that follows is about. */
    void gather(DeviceTensor x, DeviceTensor out) {
        place = StepInputs.OUTPUTS;
        int op = recording.shape(place, x.columns(), x.offset(), x.stride(), out.offset(), out.stride());
        recording.call("gather", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kGather, inputs.counts(),
                recording.shapes(), op, inputs.wanted(), x.data(), out.data()));
        changed(out);
    }

    /** RMSNorm, or with a bias LayerNorm. */
    void norm(DeviceTensor x, Weight gain, Weight bias, float eps, DeviceTensor out) {
        int op = recording.shape(place, x.columns(), x.offset(), x.stride(), out.offset(), out.stride(),
                bias == null ? 0 : 1, weights().vector(gain), bias == null ? 0 : weights().vector(bias),
                weights().number(eps));
        recording.call("norm", Math.min(capacity, blocks), RowKernels.NORM_BLOCK, RowKernels.NORM_BYTES,
                call -> call.kernel(RowKernels::kNorm, inputs.counts(), recording.shapes(), op, weights().floats(),
                        x.data(), out.data()));
        changed(out);
    }

    void linear(String name, DeviceTensor x, Weight weight, DeviceTensor out) {
        product(name, x, weight, out, weight.rows(), 1, 0, 0, 0, 0);
    }

    void expand(DeviceTensor x, Weight kvB, MlaShape shape, DeviceTensor out) {
        product("expand", x, kvB, out, shape.value(), shape.heads(), shape.latent(), shape.value(),
                shape.nope() + shape.value(), shape.nope());
    }

    /** {@link LinearKernels#kLinear} with a description as there. */
    private void product(String name, DeviceTensor x, Weight weight, DeviceTensor out, int outputs, int groups,
            int xColumns, int outColumns, int weightRows, int firstRow) {
        WeightPool.Place on = weights().place(List.of(weight));
        TensorProducts.Groups all = new TensorProducts.Groups(groups, outputs, xColumns, weightRows, firstRow);
        if (tensor != null && TensorProducts.serves(on, all) && TensorProducts.pays(on, all)) {
            tensor.product(name, place, x, on, all, out);
            tensor.changed(out);
            return;
        }
        int op = recording.shape(join(
                new int[] {place, outputs, x.offset(), x.stride(), out.offset(), out.stride(), groups, xColumns,
                    outColumns, weightRows, firstRow},
                on.numbers()));
        long tiles = (long) Math.ceilDiv(outputs, LinearKernels.OUTPUTS) * groups
                * Math.ceilDiv(capacity, LinearKernels.ROWS);
        recording.call(name, (int) Math.min(tiles, blocks), LinearKernels.BLOCK, LinearKernels.LOCAL_BYTES,
                call -> call.kernel(LinearKernels::kLinear, inputs.counts(), recording.shapes(), op, x.data(),
                        weights().ints(on), weights().floats(), table, out.data()));
        changed(out);
    }

    void add(DeviceTensor x, DeviceTensor sum) {
        int op = recording.shape(place, x.columns(), x.offset(), x.stride(), sum.offset(), sum.stride());
        recording.call("add", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kAdd, inputs.counts(),
                recording.shapes(), op, x.data(), sum.data()));
        changed(sum);
    }

    void scale(DeviceTensor x, float factor) {
        int op = recording.shape(place, x.columns(), x.offset(), x.stride(), weights().number(factor));
        recording.call("scale", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kScale, inputs.counts(),
                recording.shapes(), op, weights().floats(), x.data()));
        changed(x);
    }

    void rope(DeviceTensor x, int heads, int from, RopeTable rope, boolean interleaved) {
        int op = recording.shape(place, heads, x.columns() / heads, from, rope.dim(), interleaved ? 1 : 0, x.offset(),
                x.stride());
        recording.call("rope", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kRope, inputs.counts(),
                recording.shapes(), op, inputs.visible(), angles(rope), x.data()));
        changed(x);
    }

    /** {@code [positions, dim]}, for all positions that a sequence may have. */
    private FloatArray angles(RopeTable rope) {
        return angles.computeIfAbsent(rope, key -> {
            int positions = inputs.stride() * PageTable.PAGE;
            FloatArray all = new FloatArray(Math.multiplyExact(positions, key.dim()));
            key.copy(positions, all.getSegment());
            return all;
        });
    }

    void swiGlu(DeviceTensor gate, DeviceTensor up, DeviceTensor out) {
        int op = recording.shape(place, gate.columns(), gate.offset(), gate.stride(), up.offset(), up.stride(),
                out.offset(), out.stride());
        recording.call("swiglu", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kSwiGlu, inputs.counts(),
                recording.shapes(), op, gate.data(), up.data(), out.data()));
        changed(out);
    }

    void absorb(DeviceTensor q, Weight kvB, MlaShape shape, DeviceTensor out) {
        WeightPool.Place weight = weights().place(List.of(kvB));
        int op = recording.shape(join(
                new int[] {place, shape.heads(), shape.nope(), shape.rope(), shape.value(), shape.latent()},
                weight.numbers()));
        long items = (long) shape.heads() * Math.ceilDiv(weight.units(), LinearKernels.OUTPUTS)
                * Math.ceilDiv(capacity, 4);
        recording.call("absorb", (int) Math.min(items, blocks), LinearKernels.BLOCK, LinearKernels.ABSORB_BYTES,
                call -> call.kernel(LinearKernels::kAbsorb, inputs.counts(), recording.shapes(), op, q.packed(),
                        weights().ints(weight), weights().floats(), table, out.packed()));
        changed(out);
    }

    static int[] join(int[] first, int[] second) {
        int[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }
}
