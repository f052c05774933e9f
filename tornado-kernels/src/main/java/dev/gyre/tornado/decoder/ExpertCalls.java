package dev.gyre.tornado.decoder;

import dev.gyre.attention.EngineException;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.MlpWeights;
import dev.gyre.model.ops.MoeWeights;
import dev.gyre.tornado.kernels.ExpertKernels;
import dev.gyre.tornado.kernels.LinearKernels;
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
    private ExpertArrays arrays;

    ExpertCalls(Recording recording, StepInputs inputs, int capacity, int blocks, FloatArray table) {
        this.recording = recording;
        this.inputs = inputs;
        this.capacity = capacity;
        this.blocks = blocks;
        this.table = table;
    }

    /** {@code [capacity, experts]}: where the router's logits go. */
    FloatArray logits(int columns, ModelConfig.Moe moe) {
        if (arrays == null) {
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
        recording.call("route", 4, Math.ceilDiv(capacity, ExpertKernels.BLOCK), ExpertKernels.BLOCK, 0,
                call -> call.kernel(ExpertKernels::kRoute, counts, recording.shapes(), route, recording.weights().floats(),
                        arrays.logits(), arrays.work(), arrays.taken(), arrays.chosen(), arrays.weights()));
        int group = recording.shape(StepInputs.ROWS, moe.experts(), moe.perToken());
        recording.call("group", 2, 1, ExpertKernels.BLOCK, 0, call -> call.kernel(ExpertKernels::kGroup, counts,
                recording.shapes(), group,
                arrays.chosen(), arrays.lists(), arrays.places()));
        mlp(layer.experts(), arrays.lists(), x, arrays.hidden(), arrays.down());
        if (layer.shared() != null) {
            mlp(List.of(layer.shared()), arrays.all(), x, arrays.sharedHidden(), arrays.sharedDown());
        }
        int combine = recording.shape(StepInputs.ROWS, out.columns(), moe.perToken(), out.offset(), out.stride(),
                layer.shared() == null ? 0 : 1);
        recording.call("combine", blocks, ExpertKernels.BLOCK, 0, call -> call.kernel(ExpertKernels::kCombine, counts,
                recording.shapes(), combine, arrays.places(), arrays.weights(), arrays.down(), arrays.sharedDown(), out.data()));
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
