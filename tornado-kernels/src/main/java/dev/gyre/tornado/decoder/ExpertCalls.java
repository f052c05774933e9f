package dev.gyre.tornado.decoder;

import dev.gyre.attention.EngineException;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.MlpWeights;
import dev.gyre.model.ops.MoeWeights;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.ExpertKernels;
import dev.gyre.tornado.kernels.LinearKernels;
import dev.gyre.tornado.kernels.RoutingKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.List;
import java.util.function.Function;

/** The part of the graph that runs mixtures of experts. */
final class ExpertCalls {
    private final Recording recording;
    private final StepInputs inputs;
    private final int capacity;
    private final int blocks;
    private final FloatArray table;
    /** Null without tensor cores. */
    private final TensorProducts tensor;
    private ExpertArrays arrays;

    /** @param tensor takes the products that tensor cores can make; null without them */
    ExpertCalls(
            Recording recording, StepInputs inputs, int capacity, int blocks, FloatArray table, TensorProducts tensor) {
        this.recording = recording;
        this.inputs = inputs;
        this.capacity = capacity;
        this.blocks = blocks;
        this.table = table;
        this.tensor = tensor;
    }

    /** {@code [capacity, experts]}: where the router's logits go. */
    FloatArray logits(int columns, ModelConfig.Moe moe) {
        if (arrays == null) {
            if (moe.experts() > RoutingKernels.MOST_EXPERTS) {
                throw new EngineException("tornado serves at most " + RoutingKernels.MOST_EXPERTS + " experts a layer, and this "
                        + "model has " + moe.experts() + "; use --linear-backend vector.");
            }
            arrays = ExpertArrays.allocate(capacity, columns, moe);
            recording.always(arrays.all());
        }
        return arrays.logits();
    }

    /** How many rows the shared expert serves in the next run. */
    void rows(int count) {
        if (arrays != null) {
            arrays.all().set(1, count);
        }
    }

    /** Everything behind the router's logits. */
    void add(DeviceTensor x, MoeWeights layer, DeviceTensor out) {
        ModelConfig.Moe moe = layer.routing();
        IntArray counts = inputs.counts();
        int route = recording.shape(StepInputs.ROWS, moe.experts(), moe.groups(), moe.groupsPerToken(), moe.perToken(),
                moe.normalize() ? 1 : 0, recording.weights().vector(layer.bias()), recording.weights().number(moe.scale()));
        recording.call("route", 2, capacity, RoutingKernels.BLOCK, RoutingKernels.ROUTE_BYTES,
                call -> call.kernel(RoutingKernels::kRoute, counts, recording.shapes(), route, recording.weights().floats(),
                        arrays.logits(), arrays.chosen(), arrays.weights()));
        int group = recording.shape(StepInputs.ROWS, moe.experts(), moe.perToken());
        recording.call("group", 3, 1, RoutingKernels.GROUP_BLOCK, RoutingKernels.GROUP_BYTES,
                call -> call.kernel(RoutingKernels::kGroup, counts, recording.shapes(), group, arrays.chosen(),
                        arrays.lists(), arrays.places(), arrays.active()));
        int entries = capacity * moe.perToken();
        TensorProducts.Lists lists =
                new TensorProducts.Lists(arrays.lists(), arrays.active(), entries, moe.perToken());
        if (!onTensorCores(layer.experts(), lists, x, arrays.down())) {
            mlp(layer.experts(), arrays.lists(), x, arrays.hidden().get(), arrays.down());
        }
        if (layer.shared() != null && !onTensorCores(List.of(layer.shared()), null, x, arrays.sharedDown())) {
            mlp(List.of(layer.shared()), arrays.all(), x, arrays.sharedHidden().get(), arrays.sharedDown());
        }
        int combine = recording.shape(StepInputs.ROWS, out.columns(), moe.perToken(), out.offset(), out.stride(),
                layer.shared() == null ? 0 : 1);
        recording.call("combine", blocks, ExpertKernels.BLOCK, 0, call -> call.kernel(ExpertKernels::kCombine, counts,
                recording.shapes(), combine, arrays.places(), arrays.weights(), arrays.down(), arrays.sharedDown(), out.data()));
    }

    /** Does that what {@link #mlp} does, where tensor cores can. */
    private boolean onTensorCores(List<MlpWeights> experts, TensorProducts.Lists lists, DeviceTensor x, FloatArray down) {
        if (tensor == null) {
            return false;
        }
        WeightPool.Place gate = place(experts, MlpWeights::gate);
        WeightPool.Place up = place(experts, MlpWeights::up);
        WeightPool.Place out = place(experts, MlpWeights::down);
        TensorProducts.Groups inner = TensorProducts.Groups.experts(experts.size(), experts.getFirst().inner());
        TensorProducts.Groups outer = TensorProducts.Groups.experts(experts.size(), x.columns());
        boolean serves = gate.format() == Decode.FP8 && up.format() == Decode.FP8 && out.format() == Decode.FP8
                && TensorProducts.serves(gate, inner) && TensorProducts.serves(up, inner)
                && TensorProducts.serves(out, outer) && TensorProducts.pays(gate, inner);
        if (serves) {
            int rows = lists == null ? capacity : lists.entries();
            tensor.mlp(StepInputs.ROWS, lists, x, gate, up, out, inner, outer,
                    new DeviceTensor(down, 0, x.columns(), rows, x.columns()));
        }
        return serves;
    }

    private void mlp(List<MlpWeights> experts, IntArray lists, DeviceTensor x, FloatArray hidden, FloatArray down) {
        int inner = experts.getFirst().inner();
        int count = experts.size();
        WeightPool.Place gate = place(experts, MlpWeights::gate);
        WeightPool.Place up = place(experts, MlpWeights::up);
        WeightPool.Place out = place(experts, MlpWeights::down);
        if (gate.format() != up.format()) {
            throw new EngineException("the weights " + experts.getFirst().gate().name() + " and "
                    + experts.getFirst().up().name() + " have different dtypes, and --linear-backend tornado serves what is "
                    + "alike; use --linear-backend vector.");
        }
        int first = recording.shape(RowCalls.join(
                RowCalls.join(new int[] {count, inner, x.offset(), x.stride(), inner}, gate.numbers()),
                new int[] {up.begin(), up.scales()}));
        recording.call("hidden", blocks(inner, ExpertKernels.HIDDEN_OUTPUTS, count), ExpertKernels.BLOCK,
                LinearKernels.LOCAL_BYTES, call -> call.kernel(ExpertKernels::kHidden, recording.shapes(), first, lists,
                        x.data(), recording.weights().ints(gate), recording.weights().ints(up), recording.weights().floats(), table, hidden));
        int second = recording.shape(RowCalls.join(
                new int[] {count, x.columns(), inner, x.columns()}, out.numbers()));
        recording.call("out", blocks(x.columns(), LinearKernels.OUTPUTS, count), ExpertKernels.BLOCK,
                LinearKernels.LOCAL_BYTES, call -> call.kernel(ExpertKernels::kOut, recording.shapes(), second, lists,
                        hidden, recording.weights().ints(out), recording.weights().floats(), table, down));
    }

    /** One of the matrices of all experts. */
    private WeightPool.Place place(List<MlpWeights> experts, Function<MlpWeights, Weight> matrix) {
        return recording.weights().place(experts.stream().map(matrix).toList());
    }

    private int blocks(int outputs, int tile, int experts) {
        return (int) Math.min((long) Math.ceilDiv(outputs, tile) * experts, blocks);
    }
}
