package dev.gyre.tornado.decoder;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.DeviceMeter;
import dev.gyre.model.ops.IndexInput;
import dev.gyre.model.ops.LogitRows;
import dev.gyre.model.ops.MlaShape;
import dev.gyre.model.ops.MoeWeights;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.RopeTable;
import dev.gyre.model.ops.Step;
import dev.gyre.model.ops.StepObserver;
import dev.gyre.model.ops.Tensor;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.LinearKernels;
import dev.gyre.tornado.kernels.RowKernels;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The operations of a decoder on a device. The first step records them, with the arrays that they touch, as one graph; every
 * step runs it. Its grids are those of a full step: what rows there are the kernels read from the
 * {@linkplain StepInputs inputs}, so a driver can replay the graph for one row and for all. A step with more outputs than
 * rows runs it again without layers.
 */
public final class DecoderOps implements Ops {
    /** The most rows of a step. */
    static final int MOST_ROWS = 128;

    private final TornadoDevice device;
    private final Selections selections;
    private final int topkThreads;
    private final int capacity;
    private final int blocks;
    private final FloatArray table = Decode.table();
    private final WeightPool weights = new WeightPool();
    private final Map<RopeTable, FloatArray> angles = new IdentityHashMap<>();
    private StepInputs inputs;
    private DevicePages pages;
    private Recording recording;
    private AttentionCalls attention;
    private ExpertCalls experts;
    private SamplingCalls sampling;
    private Step step;
    private boolean gathered;
    private boolean ran;
    private boolean failed;

    /**
     * @param attention which layers run an indexer, and what is selected
     * @param rows the most rows of a step
     * @param topkThreads threads of a block that selects
     */
    public DecoderOps(TornadoDevice device, ModelConfig config, AttentionBackend attention, int rows, int topkThreads) {
        this.device = device;
        this.topkThreads = topkThreads;
        selections = Selections.of(config, attention);
        capacity = Math.min(rows, MOST_ROWS);
        // enough to fill every multiprocessor several times; where there is more to do, blocks take turns
        blocks = 16 * device.getPhysicalDevice().getDeviceMaxComputeUnits();
    }

    @Override
    public int mostRows() {
        return capacity;
    }

    @Override
    public int capacity(int rows) {
        return capacity;
    }

    @Override
    public boolean recorded() {
        return true;
    }

    @Override
    public KvCache cache(List<CacheShape> shapes, CacheDtype dtype, int tokens, int longest) {
        if (pages != null) {
            throw new EngineException("a model on a device has one set of caches at a time; close the other runner first.");
        }
        int slots = Math.multiplyExact(Math.ceilDiv(tokens, PageTable.PAGE), PageTable.PAGE);
        AttentionCalls.check(shapes, dtype);
        pages = new DevicePages(shapes, dtype, slots, this::end);
        inputs = StepInputs.allocate(capacity, AttentionCalls.stride(Math.min(longest, slots)) / PageTable.PAGE);
        return new KvCache(slots, pages);
    }

    private void end() {
        if (recording != null) {
            recording.close();
        }
        recording = null;
        pages = null;
        failed = false;
    }

    private void run() {
        int rows = inputs.counts().get(StepInputs.ROWS);
        int outputs = inputs.counts().get(StepInputs.OUTPUTS);
        failed = true; // until the run has ended
        while (pages.stage()) { // more is to be done to pages than a run can do
            set(0, 0);
            recording.run();
        }
        set(rows, outputs);
        recording.run();
        failed = false;
    }

    @Override
    public Optional<DeviceMeter> meter() {
        return Optional.of(new RecordingMeter(() -> recording, () -> {
            set(0, 0);
            run();
        }));
    }

    private void set(int rows, int outputs) {
        inputs.rows(rows);
        inputs.counts().set(StepInputs.OUTPUTS, outputs);
        experts.rows(rows);
        sampling.outputs(outputs);
    }

    @Override
    public void close() {
        if (pages != null) {
            end();
        }
    }

    @Override
    public Tensor tensor(int rows, int columns) {
        return DeviceTensor.allocate(rows, columns);
    }

    @Override
    public Tensor columns(Tensor tensor, int from, int count) {
        return DeviceTensor.of(tensor).columns(from, count);
    }

    @Override
    public void embed(Step step, Weight table, Tensor out) {
        if (failed) {
            throw new EngineException("an earlier step failed on the device, and what it had cached there is gone; open the "
                    + "model again.");
        }
        this.step = step;
        gathered = false;
        ran = false;
        inputs.set(step);
        if (recording == null) {
            start();
        }
        recording.begin();
        if (!recording.replays("embed")) {
            DeviceTensor target = DeviceTensor.of(out);
            WeightPool.Place weight = weights.place(List.of(table));
            int op = recording.shape(join(
                    new int[] {StepInputs.ROWS, target.columns(), target.offset(), target.stride()}, weight.numbers()));
            recording.call("embed", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kEmbed, inputs.counts(),
                    recording.shapes(), op, inputs.tokens(), weights.ints(weight), weights.floats(), this.table,
                    target.data()));
        }
    }

    private void start() {
        recording = new Recording(device, weights);
        recording.always(inputs.arrays());
        recording.always(pages.commands());
        attention = new AttentionCalls(recording, inputs, pages, selections, topkThreads, capacity, blocks, table);
        experts = new ExpertCalls(recording, inputs, weights, capacity, blocks, table);
        attention.pages();
    }

    @Override
    public void gather(Tensor x, int[] rows, int from, int count, Tensor out) {
        if (gathered) {
            recording.back("gather"); // more outputs of a step whose layers have been run
            inputs.rows(0);
        }
        gathered = true;
        inputs.outputs(rows, from, count);
        if (!recording.replays("gather")) {
            DeviceTensor source = DeviceTensor.of(x);
            DeviceTensor target = DeviceTensor.of(out);
            int op = recording.shape(StepInputs.OUTPUTS, source.columns(), source.offset(), source.stride(),
                    target.offset(), target.stride());
            recording.call("gather", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kGather,
                    inputs.counts(), recording.shapes(), op, inputs.wanted(), source.data(), target.data()));
        }
    }

    /** Which number of the step says how many rows an operation has: behind gather it is the outputs. */
    private int place() {
        return gathered ? StepInputs.OUTPUTS : StepInputs.ROWS;
    }

    @Override
    public void read(Tensor tensor, int rows, float[] target) {
        throw new EngineException("--linear-backend tornado runs a step as a whole and cannot show what is between its "
                + "layers; use --linear-backend vector.");
    }

    /** Runs the step. */
    @Override
    public void read(Tensor logits, LogitRows target) {
        if (!recording.replays("read")) {
            sampling = new SamplingCalls(recording, DeviceTensor.of(logits), blocks, topkThreads);
            attention.onDemand();
        }
        sampling.ask(target);
        run();
        sampling.fetch(target);
        if (!ran && step.observer() != StepObserver.NONE) {
            attention.show(step);
        }
        ran = true;
    }

    @Override
    public void rmsNorm(int rows, Tensor x, Weight gain, float eps, Tensor out) {
        norm("rmsNorm", x, gain, null, eps, out);
    }

    @Override
    public void layerNorm(int rows, Tensor x, Weight gain, Weight bias, float eps, Tensor out) {
        norm("layerNorm", x, gain, bias, eps, out);
    }

    private void norm(String name, Tensor x, Weight gain, Weight bias, float eps, Tensor out) {
        if (recording.replays(name)) {
            return;
        }
        DeviceTensor source = DeviceTensor.of(x);
        DeviceTensor target = DeviceTensor.of(out);
        int op = recording.shape(place(), source.columns(), source.offset(), source.stride(), target.offset(),
                target.stride(), bias == null ? 0 : 1, weights.vector(gain), bias == null ? 0 : weights.vector(bias),
                weights.number(eps));
        recording.call("norm", Math.min(capacity, blocks), RowKernels.BLOCK, RowKernels.NORM_BYTES,
                call -> call.kernel(RowKernels::kNorm, inputs.counts(), recording.shapes(), op, weights.floats(),
                        source.data(), target.data()));
    }

    @Override
    public void linear(int rows, Tensor x, Weight weight, Tensor out) {
        if (!recording.replays("linear")) {
            product("linear", DeviceTensor.of(x), weight, DeviceTensor.of(out), weight.rows(), 1, 0, 0, 0, 0);
        }
    }

    /** {@link LinearKernels#kLinear} with a description as there. */
    private void product(String name, DeviceTensor x, Weight weight, DeviceTensor out, int outputs, int groups,
            int xColumns, int outColumns, int weightRows, int firstRow) {
        WeightPool.Place on = weights.place(List.of(weight));
        int op = recording.shape(join(
                new int[] {place(), outputs, x.offset(), x.stride(), out.offset(), out.stride(), groups, xColumns,
                    outColumns, weightRows, firstRow},
                on.numbers()));
        long tiles = (long) Math.ceilDiv(outputs, LinearKernels.OUTPUTS) * groups
                * Math.ceilDiv(capacity, LinearKernels.ROWS);
        recording.call(name, (int) Math.min(tiles, blocks), LinearKernels.BLOCK, LinearKernels.LOCAL_BYTES,
                call -> call.kernel(LinearKernels::kLinear, inputs.counts(), recording.shapes(), op, x.data(),
                        weights.ints(on), weights.floats(), table, out.data()));
    }

    @Override
    public void add(int rows, Tensor x, Tensor sum) {
        if (recording.replays("add")) {
            return;
        }
        DeviceTensor source = DeviceTensor.of(x);
        DeviceTensor target = DeviceTensor.of(sum);
        int op = recording.shape(place(), source.columns(), source.offset(), source.stride(), target.offset(),
                target.stride());
        recording.call("add", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kAdd, inputs.counts(), recording.shapes(), op,
                source.data(), target.data()));
    }

    @Override
    public void scale(int rows, Tensor x, float factor) {
        if (recording.replays("scale")) {
            return;
        }
        DeviceTensor source = DeviceTensor.of(x);
        int op = recording.shape(
                place(), source.columns(), source.offset(), source.stride(), weights.number(factor));
        recording.call("scale", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kScale, inputs.counts(),
                recording.shapes(), op, weights.floats(), source.data()));
    }

    @Override
    public void rope(Step step, Tensor x, int heads, int from, RopeTable rope, boolean interleaved) {
        if (recording.replays("rope")) {
            return;
        }
        DeviceTensor source = DeviceTensor.of(x);
        int op = recording.shape(place(), heads, source.columns() / heads, from, rope.dim(), interleaved ? 1 : 0,
                source.offset(), source.stride());
        recording.call("rope", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kRope, inputs.counts(),
                recording.shapes(), op, inputs.visible(), angles(rope), source.data()));
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

    @Override
    public void swiGlu(int rows, Tensor gate, Tensor up, Tensor out) {
        if (recording.replays("swiGlu")) {
            return;
        }
        DeviceTensor left = DeviceTensor.of(gate);
        DeviceTensor right = DeviceTensor.of(up);
        DeviceTensor target = DeviceTensor.of(out);
        int op = recording.shape(place(), left.columns(), left.offset(), left.stride(), right.offset(), right.stride(),
                target.offset(), target.stride());
        recording.call("swiglu", blocks, RowKernels.BLOCK, 0, call -> call.kernel(RowKernels::kSwiGlu, inputs.counts(),
                recording.shapes(), op, left.data(), right.data(), target.data()));
    }

    @Override
    public void absorb(int rows, Tensor q, Weight kvB, MlaShape shape, Tensor out) {
        if (recording.replays("absorb")) {
            return;
        }
        WeightPool.Place weight = weights.place(List.of(kvB));
        int op = recording.shape(join(
                new int[] {place(), shape.heads(), shape.nope(), shape.rope(), shape.value(), shape.latent()},
                weight.numbers()));
        long items = (long) shape.heads() * Math.ceilDiv(weight.units(), LinearKernels.OUTPUTS) * Math.ceilDiv(capacity, 4);
        recording.call("absorb", (int) Math.min(items, blocks), LinearKernels.BLOCK, LinearKernels.ABSORB_BYTES, call -> call.kernel(LinearKernels::kAbsorb,
                inputs.counts(), recording.shapes(), op, DeviceTensor.of(q).packed(), weights.ints(weight),
                weights.floats(), table, DeviceTensor.of(out).packed()));
    }

    @Override
    public void expand(int rows, Tensor x, Weight kvB, MlaShape shape, Tensor out) {
        if (!recording.replays("expand")) {
            product("expand", DeviceTensor.of(x), kvB, DeviceTensor.of(out), shape.value(), shape.heads(),
                    shape.latent(), shape.value(), shape.nope() + shape.value(), shape.nope());
        }
    }

    @Override
    public void append(Step step, int layer, Tensor latents, Tensor indexKeys) {
        if (!recording.replays("append")) {
            attention.append(layer, DeviceTensor.of(latents), indexKeys == null ? null : DeviceTensor.of(indexKeys));
        }
    }

    @Override
    public boolean usesIndexer(int layer) {
        return selections.scores(layer);
    }

    @Override
    public void attend(Step step, int layer, Tensor q, MlaShape shape, IndexInput index, Tensor out) {
        if (!recording.replays("attend")) {
            attention.attend(layer, DeviceTensor.of(q).packed(), shape, index, DeviceTensor.of(out).packed());
        }
    }

    @Override
    public void moe(int rows, Tensor x, MoeWeights moe, Tensor out) {
        if (recording.replays("moe")) {
            return;
        }
        DeviceTensor source = DeviceTensor.of(x);
        FloatArray logits = experts.logits(source.columns(), moe.routing());
        DeviceTensor scores = new DeviceTensor(
                logits, 0, moe.routing().experts(), capacity, moe.routing().experts());
        product("router", source, moe.gate(), scores, moe.routing().experts(), 1, 0, 0, 0, 0);
        experts.add(source, moe, DeviceTensor.of(out));
    }

    static int[] join(int[] first, int[] second) {
        int[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }
}
