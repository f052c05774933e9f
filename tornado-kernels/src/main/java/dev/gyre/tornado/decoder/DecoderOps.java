package dev.gyre.tornado.decoder;

import static dev.gyre.tornado.decoder.DeviceTensor.of;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.checkpoint.LoadListener;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.DeviceMeter;
import dev.gyre.model.ops.IndexInput;
import dev.gyre.model.ops.LogitRows;
import dev.gyre.model.ops.Memory;
import dev.gyre.model.ops.MlaShape;
import dev.gyre.model.ops.MoeWeights;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.RopeTable;
import dev.gyre.model.ops.Step;
import dev.gyre.model.ops.StepObserver;
import dev.gyre.model.ops.Tensor;
import dev.gyre.tornado.kernels.Decode;
import uk.ac.manchester.tornado.api.TornadoTargetDevice;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The operations of a decoder on a device, or on several that share its layers. The first step records them, with the
 * arrays that they touch, as one graph, or as few as there is room for them in; every step runs these. Their grids are
 * those of a full step: what rows there are the kernels read from the {@linkplain StepInputs inputs}, so a driver can
 * replay a graph for one row and for all.
 */
public final class DecoderOps implements Ops {
    /** The most rows of a step. */
    static final int MOST_ROWS = 128;

    private final List<TornadoDevice> devices;
    private final GraphCut.Limits limits;
    private final Selections selections;
    private final int topkThreads;
    private final boolean tensorCores;
    private final int capacity;
    private final int blocks;
    private final FloatArray table = Decode.table();
    private final List<WeightPool> weights;
    /** The first layer of every stage. */
    private int[] firstLayers;
    private StepInputs inputs;
    private DevicePages pages;
    private Recording recording;
    private RowCalls calls;
    private AttentionCalls attention;
    private ExpertCalls experts;
    private SamplingCalls sampling;
    private Step step;
    private boolean failed;

    /**
     * @param devices take the layers in this order, as many of them each as their weights suggest
     * @param attention which layers run an indexer, and what is selected
     * @param rows the most rows of a step
     * @param topkThreads threads of a block that selects, on all devices
     * @param tensorCores whether all devices have NVIDIA's tensor cores, and TornadoVM compiles for them
     */
    public DecoderOps(
            List<TornadoDevice> devices,
            ModelConfig config,
            AttentionBackend attention,
            int rows,
            int topkThreads,
            boolean tensorCores) {
        this(devices, config, attention, rows, topkThreads, tensorCores, GraphCut.Limits.TORNADO);
    }

    DecoderOps(
            List<TornadoDevice> devices,
            ModelConfig config,
            AttentionBackend attention,
            int rows,
            int topkThreads,
            boolean tensorCores,
            GraphCut.Limits limits) {
        if (devices.size() > config.layers()) {
            throw EngineException.usage("--devices names " + devices.size() + " devices, and the model has "
                    + config.layers() + " layers to share out; name at most as many.");
        }
        this.devices = List.copyOf(devices);
        weights = devices.stream().map(device -> new WeightPool()).toList();
        this.limits = limits;
        this.topkThreads = topkThreads;
        this.tensorCores = tensorCores;
        selections = Selections.of(config, attention);
        capacity = Math.min(rows, MOST_ROWS);
        // enough to fill every multiprocessor several times; where there is more to do, blocks take turns
        blocks = 16 * all().mapToInt(TornadoTargetDevice::getDeviceMaxComputeUnits).max().orElseThrow();
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
    public boolean readsWeights() {
        return false;
    }

    @Override
    public void loading(WorkerPool pool, LoadListener listener) {
        weights.forEach(part -> part.loading(pool, listener));
    }

    /** That of all devices. */
    @Override
    public Memory memory() {
        return new Memory(
                all().map(device -> device.getDeviceName().strip()).collect(Collectors.joining(" and ")),
                all().mapToLong(TornadoTargetDevice::getDeviceGlobalMemorySize).sum());
    }

    private Stream<TornadoTargetDevice> all() {
        return devices.stream().map(TornadoDevice::getPhysicalDevice);
    }

    @Override
    public Map<String, Long> stored(Weight weight) {
        return WeightPool.stored(weight);
    }

    @Override
    public long workBytes(ModelConfig config, int rows, int sequences, int longest) {
        return (long) devices.size() * new WorkBytes(config, selections, capacity, tensorCores ? blocks : 0)
                .of(sequences, longest);
    }

    /** Bytes of all arrays on the devices; of a step that has been run. */
    long deviceBytes() {
        return recording.deviceBytes();
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
            recording.run(0);
        }
        set(rows, outputs);
        recording.run(rows);
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
        attention.rows(rows);
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
        return of(tensor).columns(from, count);
    }

    @Override
    public void embed(Step step, Weight table, Tensor out) {
        if (failed) {
            throw new EngineException("an earlier step failed on the device, and what it had cached there is gone; open the "
                    + "model again.");
        }
        this.step = step;
        inputs.set(step);
        if (recording == null) {
            start();
        }
        recording.begin();
        if (!recording.replays("embed")) {
            calls.embed(table, of(out));
        }
    }

    private void start() {
        List<Stage> stages = new ArrayList<>();
        for (int i = 0; i < devices.size(); i++) {
            stages.add(new Stage(devices.get(i), weights.get(i)));
        }
        recording = new Recording(stages, limits);
        recording.always(inputs.arrays());
        recording.always(pages.commands());
        TensorProducts products = tensorCores ? new TensorProducts(recording, inputs, capacity, blocks) : null;
        calls = new RowCalls(recording, inputs, capacity, blocks, table, products);
        attention = new AttentionCalls(
                recording, inputs, pages, selections, topkThreads, capacity, blocks, table, tensorCores);
        experts = new ExpertCalls(recording, inputs, capacity, blocks, table, products);
    }

    @Override
    public void layers(long[] bytes) {
        firstLayers = Stages.split(bytes, devices.size());
    }

    @Override
    public void layer(int layer, Tensor stream) {
        if (recording.replays("layer")) {
            return;
        }
        if (layer > 0 && Arrays.binarySearch(firstLayers, layer) >= 0) {
            recording.nextStage();
            calls.nextStage();
            recording.handOver(of(stream).packed(), of(stream).columns());
        } else {
            recording.section();
        }
        attention.pages(layer);
    }

    @Override
    public void gather(Tensor x, int[] rows, int from, int count, Tensor out) {
        inputs.outputs(rows, from, count);
        if (!recording.replays("gather")) {
            recording.section();
            calls.gather(of(x), of(out));
        }
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
            sampling = new SamplingCalls(recording, of(logits), blocks, topkThreads);
            attention.onDemand();
        }
        sampling.ask(target);
        run();
        sampling.fetch(target);
        if (step.observer() != StepObserver.NONE) {
            attention.show(step);
        }
    }

    @Override
    public void rmsNorm(int rows, Tensor x, Weight gain, float eps, Tensor out) {
        if (!recording.replays("rmsNorm")) {
            calls.norm(of(x), gain, null, eps, of(out));
        }
    }

    @Override
    public void layerNorm(int rows, Tensor x, Weight gain, Weight bias, float eps, Tensor out) {
        if (!recording.replays("layerNorm")) {
            calls.norm(of(x), gain, bias, eps, of(out));
        }
    }

    @Override
    public void linear(int rows, Tensor x, Weight weight, Tensor out) {
        if (!recording.replays("linear")) {
            calls.linear("linear", of(x), weight, of(out));
        }
    }

    @Override
    public void add(int rows, Tensor x, Tensor sum) {
        if (!recording.replays("add")) {
            calls.add(of(x), of(sum));
        }
    }

    @Override
    public void scale(int rows, Tensor x, float factor) {
        if (!recording.replays("scale")) {
            calls.scale(of(x), factor);
        }
    }

    @Override
    public void rope(Step step, Tensor x, int heads, int from, RopeTable rope, boolean interleaved) {
        if (!recording.replays("rope")) {
            calls.rope(of(x), heads, from, rope, interleaved);
        }
    }

    @Override
    public void swiGlu(int rows, Tensor gate, Tensor up, Tensor out) {
        if (!recording.replays("swiGlu")) {
            calls.swiGlu(of(gate), of(up), of(out));
        }
    }

    @Override
    public void absorb(int rows, Tensor q, Weight kvB, MlaShape shape, Tensor out) {
        if (!recording.replays("absorb")) {
            calls.absorb(of(q), kvB, shape, of(out));
        }
    }

    @Override
    public void expand(int rows, Tensor x, Weight kvB, MlaShape shape, Tensor out) {
        if (!recording.replays("expand")) {
            calls.expand(of(x), kvB, shape, of(out));
        }
    }

    @Override
    public void append(Step step, int layer, Tensor latents, Tensor indexKeys) {
        if (!recording.replays("append")) {
            attention.append(layer, of(latents), indexKeys == null ? null : of(indexKeys));
        }
    }

    @Override
    public boolean usesIndexer(int layer) {
        return selections.scores(layer);
    }

    @Override
    public void attend(Step step, int layer, Tensor q, MlaShape shape, IndexInput index, Tensor out) {
        if (!recording.replays("attend")) {
            attention.attend(layer, of(q).packed(), shape, index, of(out).packed());
            calls.changed(of(out));
        }
    }

    @Override
    public void moe(int rows, Tensor x, MoeWeights moe, Tensor out) {
        if (recording.replays("moe")) {
            return;
        }
        DeviceTensor source = of(x);
        int outputs = moe.routing().experts();
        FloatArray logits = experts.logits(source.columns(), moe.routing());
        calls.linear("router", source, moe.gate(), new DeviceTensor(logits, 0, outputs, capacity, outputs));
        experts.add(source, moe, of(out));
        calls.changed(of(out));
    }
}
