package dev.gyre.model.ops.cpu;

import dev.gyre.attention.HostMemory;
import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.attention.backend.SelectionListener;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.attention.cache.LatentCache;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.IndexInput;
import dev.gyre.model.ops.Memory;
import dev.gyre.model.ops.MlaShape;
import dev.gyre.model.ops.MoeWeights;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.RopeTable;
import dev.gyre.model.ops.Step;
import dev.gyre.model.ops.StepObserver;
import dev.gyre.model.ops.Tensor;

import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/** The operations on the CPU; attention itself goes to an {@link AttentionBackend}. */
public final class CpuOps implements Ops {
    private final AttentionBackend attention;
    private final Kernels kernels;
    private final Elementwise elementwise;
    private final MoeRunner moe;
    private float[] embedding = new float[0];
    private final Map<Weight, float[]> vectors = new IdentityHashMap<>();
    /** What {@link #attend} passed on last, by layer: most steps ask with the same tensors. */
    private LayerStep[] layers = new LayerStep[0];
    private StepObserver observer;
    private final SelectionListener listener = (layer, selection) -> observer.selected(layer, selection);

    /** Operations on the threads of {@code pool}. */
    public CpuOps(WorkerPool pool, AttentionBackend attention, Kernels kernels) {
        this.attention = attention;
        this.kernels = kernels;
        elementwise = new Elementwise(pool);
        moe = new MoeRunner(kernels, elementwise);
    }

    /** Norm gains and biases are small and read at every step: decoded once. */
    private float[] vector(Weight weight) {
        return vectors.computeIfAbsent(weight, Weight::toArray);
    }

    @Override
    public Memory memory() {
        return new Memory("this machine", HostMemory.bytes());
    }

    @Override
    public long workBytes(ModelConfig config, int rows, int sequences, int longest) {
        boolean experts = IntStream.range(0, config.layers()).anyMatch(config::isMoe);
        boolean indexes = IntStream.range(0, config.layers()).anyMatch(this::usesIndexer);
        long angles = (long) longest * config.mla().rope() * Float.BYTES * (indexes ? 2 : 1);
        return angles + (experts ? MoeRunner.bytes(config, rows) : 0);
    }

    @Override
    public Tensor tensor(int capacity, int columns) {
        return HostTensor.allocate(capacity, columns);
    }

    @Override
    public Tensor columns(Tensor tensor, int from, int count) {
        return HostTensor.of(tensor).columns(from, count);
    }

    @Override
    public void read(Tensor tensor, int rows, float[] target) {
        HostTensor source = HostTensor.of(tensor);
        for (int row = 0; row < rows; row++) {
            System.arraycopy(source.data(), source.row(row), target, row * source.columns(), source.columns());
        }
    }

    @Override
    public void embed(Step step, Weight table, Tensor out) {
        HostTensor target = HostTensor.of(out);
        if (embedding.length < table.columns()) {
            embedding = new float[table.columns()];
        }
        for (int row = 0; row < step.rows().rows(); row++) {
            table.decodeRow(step.token(row), embedding);
            System.arraycopy(embedding, 0, target.data(), target.row(row), table.columns());
        }
    }

    @Override
    public void gather(Tensor x, int[] rows, int from, int count, Tensor out) {
        HostTensor source = HostTensor.of(x);
        HostTensor target = HostTensor.of(out);
        for (int i = 0; i < count; i++) {
            System.arraycopy(source.data(), source.row(rows[from + i]), target.data(), target.row(i), source.columns());
        }
    }

    @Override
    public void rmsNorm(int rows, Tensor x, Weight gain, float eps, Tensor out) {
        elementwise.rmsNorm(rows, HostTensor.of(x), vector(gain), eps, HostTensor.of(out));
    }

    @Override
    public void layerNorm(int rows, Tensor x, Weight gain, Weight bias, float eps, Tensor out) {
        elementwise.layerNorm(rows, HostTensor.of(x), vector(gain), vector(bias), eps, HostTensor.of(out));
    }

    @Override
    public void linear(int rows, Tensor x, Weight weight, Tensor out) {
        kernels.linear(rows, HostTensor.of(x), weight, HostTensor.of(out));
    }

    @Override
    public void add(int rows, Tensor x, Tensor sum) {
        elementwise.add(rows, HostTensor.of(x), HostTensor.of(sum));
    }

    @Override
    public void scale(int rows, Tensor x, float factor) {
        elementwise.scale(rows, HostTensor.of(x), factor);
    }

    @Override
    public void rope(Step step, Tensor x, int heads, int from, RopeTable table, boolean interleaved) {
        table.reach(step.rows().longest());
        elementwise.rope(step.rows(), HostTensor.of(x), heads, from, table, interleaved);
    }

    @Override
    public void swiGlu(int rows, Tensor gate, Tensor up, Tensor out) {
        kernels.swiGlu(rows, HostTensor.of(gate), HostTensor.of(up), HostTensor.of(out));
    }

    @Override
    public void absorb(int rows, Tensor q, Weight kvB, MlaShape shape, Tensor out) {
        kernels.absorb(rows, HostTensor.of(q), kvB, shape, HostTensor.of(out));
    }

    @Override
    public void expand(int rows, Tensor x, Weight kvB, MlaShape shape, Tensor out) {
        kernels.expand(rows, HostTensor.of(x), kvB, shape, HostTensor.of(out));
    }

    @Override
    public void append(Step step, int layer, Tensor latents, Tensor indexKeys) {
        QueryRows rows = step.rows();
        LatentCache cache = step.cache().latents(layer);
        IndexKeyCache keyCache = indexKeys == null ? null : step.cache().indexKeys(layer);
        HostTensor latent = HostTensor.of(latents);
        HostTensor keys = indexKeys == null ? null : HostTensor.of(indexKeys);
        for (int row = 0; row < rows.rows(); row++) {
            int slot = rows.slot(row, rows.position(row));
            cache.write(slot, latent.data(), latent.row(row));
            if (keys != null) {
                keyCache.write(slot, keys.data(), keys.row(row));
            }
        }
    }

    @Override
    public boolean usesIndexer(int layer) {
        return attention.usesIndexer(layer);
    }

    @Override
    public void attend(Step step, int layer, Tensor q, MlaShape shape, IndexInput index, Tensor out) {
        observer = step.observer();
        attention.attend(layerStep(step, layer, q, shape, index), HostTensor.of(out).packed(), listener);
    }

    private LayerStep layerStep(Step step, int layer, Tensor q, MlaShape shape, IndexInput index) {
        LatentCache latents = step.cache().latents(layer);
        float[] queries = HostTensor.of(q).packed();
        float[] indexQueries = index == null ? null : HostTensor.of(index.queries()).packed();
        if (layer >= layers.length) {
            layers = Arrays.copyOf(layers, layer + 1);
        }
        LayerStep last = layers[layer];
        if (last == null
                || last.rows() != step.rows()
                || last.latents() != latents
                || last.queries().queries() != queries
                || (last.index() == null ? null : last.index().queries()) != indexQueries) {
            layers[layer] = new LayerStep(
                    layer,
                    step.rows(),
                    new MlaQueries(queries, shape.heads(), shape.latent(), shape.rope(), shape.scale()),
                    latents,
                    index == null ? null : new IndexQueries(
                            indexQueries, HostTensor.of(index.weights()).packed(), index.heads(), index.dim()),
                    index == null ? null : step.cache().indexKeys(layer));
        }
        return layers[layer];
    }

    @Override
    public void moe(int rows, Tensor x, MoeWeights weights, Tensor out) {
        moe.run(rows, HostTensor.of(x), weights, HostTensor.of(out));
    }
}
