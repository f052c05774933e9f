package dev.gyre.tornado.decoder;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.ops.IndexInput;
import dev.gyre.model.ops.MlaShape;
import dev.gyre.model.ops.Step;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.kernels.MlaKernels;
import dev.gyre.tornado.kernels.StepKernels;
import dev.gyre.tornado.kernels.TopKKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.ArrayList;
import java.util.List;

/** The part of the graph that reads and writes the caches: storing, scoring, selection, attention. */
final class AttentionCalls {
    /** Positions that all layers together may keep apart, so that selections can be looked at. */
    private static final long MOST_POSITIONS = 1 << 24;

    private final Recording recording;
    private final StepInputs inputs;
    private final DevicePages pages;
    private final Selections selections;
    private final int capacity;
    private final int blocks;
    private final FloatArray table;
    private final int topkThreads;
    /** Scores of a row that there is room for. */
    private final int stride;
    private final int k;
    private final IntArray scores;
    private final IntArray flags;
    private final IntArray keys;
    private final IntArray found;
    private final IntArray slots;
    /** {@code [capacity, k]} for every layer that selects, or one for all of them. */
    private final List<IntArray> positions = new ArrayList<>();
    private final List<Integer> layers = new ArrayList<>();
    /** Null without tensor cores. */
    private final TensorAttention tensor;
    private IntArray latentBits;
    private IntArray keyBits;
    private FloatArray scale;
    /** The stage whose slots are there. */
    private int stage;

    AttentionCalls(
            Recording recording,
            StepInputs inputs,
            DevicePages pages,
            Selections selections,
            int topkThreads,
            int capacity,
            int blocks,
            FloatArray table,
            boolean tensorCores) {
        this.recording = recording;
        this.inputs = inputs;
        this.pages = pages;
        this.selections = selections;
        this.capacity = capacity;
        this.blocks = blocks;
        this.table = table;
        this.topkThreads = topkThreads;
        stride = inputs.stride() * PageTable.PAGE;
        k = selections.topk() == Selections.ALL ? stride : Math.min(selections.topk(), stride);
        scores = DeviceArrays.ints(Math.multiplyExact(capacity, stride));
        keys = DeviceArrays.ints(capacity * stride);
        flags = DeviceArrays.ints(capacity * (stride / 32 * 3));
        found = DeviceArrays.ints(capacity * TopKKernels.FOUND);
        slots = DeviceArrays.ints(Math.multiplyExact(capacity, k));
        inputs.topk().set(1, k);
        inputs.topk().set(2, stride);
        inputs.topk().set(3, inputs.stride());
        tensor = tensorCores
                ? new TensorAttention(recording, inputs, pages, capacity, blocks, stride, k, table)
                : null;
    }

    /** How many rows the next run has. */
    void rows(int count) {
        if (tensor != null) {
            tensor.rows(count);
        }
    }

    /** Scores of a row that there must be room for if sequences have so many tokens. */
    static int stride(int tokens) {
        int stride = Math.multiplyExact(Math.ceilDiv(tokens, TopKKernels.STRETCH), TopKKernels.STRETCH);
        if (stride >= TopKKernels.LONGEST) {
            throw new EngineException("tornado serves fewer than " + TopKKernels.LONGEST + " tokens a sequence, and " + tokens
                    + " are asked for; use a shorter --context-length.");
        }
        return stride;
    }

    /** Whether positions of every layer that selects are kept. */
    static boolean apart(long capacity, long k, int layers) {
        return capacity * k * layers <= MOST_POSITIONS;
    }

    /** Rejects what the kernels cannot serve. */
    static void check(List<CacheShape> shapes, CacheDtype dtype) {
        for (CacheShape shape : shapes) {
            int unit = dtype == CacheDtype.FP8_E4M3 ? 4 : 2;
            boolean even = shape.latent() % unit == 0 && shape.rope() % 2 == 0 && shape.index() % unit == 0;
            if (!even || shape.latent() > MlaKernels.MOST_LATENT || shape.width() > MlaKernels.MOST_WIDTH
                    || shape.index() > StepKernels.MOST_DIM) {
                throw new EngineException("tornado serves latents of at most " + MlaKernels.MOST_LATENT + ", rows of at most "
                        + MlaKernels.MOST_WIDTH + " and index keys of at most " + StepKernels.MOST_DIM
                        + " values, multiples of " + unit + ", and this model has " + shape.latent() + " + " + shape.rope()
                        + " and " + shape.index() + "; use --linear-backend vector.");
            }
        }
    }

    /** What is to be done to a layer's pages, before a step stores anything in them. */
    void pages(int layer) {
        DevicePages.Layer cache = pages.layer(layer);
        int op = recording.shape(cache.numbers());
        recording.ahead("pages", 4, blocks, StepKernels.BLOCK, 0, call -> call.kernel(StepKernels::kPages,
                pages.commands(), recording.shapes(), op, pages.draws(), pages.drawFloats(), cache.latentInts(),
                cache.latentFloats(), cache.keyInts(), cache.keyFloats()));
    }

    void append(int layer, DeviceTensor latents, DeviceTensor indexKeys) {
        DevicePages.Layer cache = pages.layer(layer);
        CacheShape shape = cache.shape();
        if (latentBits == null) {
            latentBits = DeviceArrays.ints(Math.multiplyExact(capacity, shape.width()));
            set(inputs.latents(), shape.latent(), shape.rope(), pages.format(), inputs.stride(), 0);
        }
        recording.call("latents", 3, capacity, StepKernels.BLOCK, MlaKernels.BLOCK * Integer.BYTES,
                call -> call.kernel(StepKernels::kStore, inputs.latents(), inputs.visible(), inputs.tables(),
                        latents.packed(), latentBits, cache.latentInts(), cache.latentFloats()));
        if (indexKeys == null) {
            return;
        }
        if (keyBits == null) {
            keyBits = DeviceArrays.ints(Math.multiplyExact(capacity, shape.index()));
            set(inputs.keys(), shape.index(), 0, pages.format(), inputs.stride(), 1);
        }
        recording.call("keys", 3, capacity, StepKernels.BLOCK, MlaKernels.BLOCK * Integer.BYTES,
                call -> call.kernel(StepKernels::kStore, inputs.keys(), inputs.visible(), inputs.tables(),
                        indexKeys.packed(), keyBits, cache.keyInts(), cache.keyFloats()));
    }

    /** Sets what follows the number of rows. */
    private static void set(IntArray meta, int... values) {
        DeviceArrays.copy(values, 0, meta, 1, values.length);
    }

    void attend(int layer, FloatArray q, MlaShape shape, IndexInput index, FloatArray out) {
        DevicePages.Layer cache = pages.layer(layer);
        boolean all = selections.topk() == Selections.ALL;
        boolean entered = layers.isEmpty() || stage < recording.stage();
        if (selections.selects(layer) || layers.isEmpty() || entered && all) {
            select(layer, cache, index);
        } else if (entered) {
            recording.handOver(slots, k);
        }
        stage = recording.stage();
        if (tensor != null && tensor.attends(shape)) {
            tensor.attend(cache, q, shape, slots, out);
            return;
        }
        set(inputs.attend(), shape.heads(), shape.latent(), shape.rope(), k, pages.slots(), pages.format());
        if (scale == null) {
            scale = new FloatArray(1);
            scale.set(0, shape.scale());
        }
        recording.call("attend", Math.multiplyExact(capacity, shape.heads()), MlaKernels.BLOCK, MlaKernels.LOCAL_BYTES,
                call -> call.kernel(MlaKernels::kSparse, inputs.attend(), scale, slots, q, cache.latentInts(),
                        cache.latentFloats(), table, out));
    }

    /** The slots that rows attend to: the best k by the indexer's scores, or, where rows see no more, all. */
    private void select(int layer, DevicePages.Layer cache, IndexInput index) {
        boolean all = selections.topk() == Selections.ALL;
        if (!all && tensor != null && tensor.scores(index)) {
            tensor.score(cache, index, scores);
        } else if (!all) {
            int op = recording.shape(index.heads(), index.dim(), pages.format());
            recording.call("scores", blocks, StepKernels.SCORE_BLOCK, StepKernels.SCORE_BYTES,
                    call -> call.kernel(StepKernels::kScores, inputs.topk(), recording.shapes(), op, inputs.visible(), inputs.tables(),
                            DeviceTensor.of(index.queries()).packed(), DeviceTensor.of(index.weights()).packed(),
                            cache.keyInts(), cache.keyFloats(), table, scores));
        }
        IntArray chosen = apart(capacity, k, pages.layers()) || positions.isEmpty() ? DeviceArrays.ints(capacity * k) : positions.getFirst();
        positions.add(chosen);
        layers.add(layer);
        recording.call("topk", 5, capacity, topkThreads, TopKKernels.LOCAL_BYTES, call -> call.kernel(
                TopKKernels::kTopK, inputs.topk(), inputs.visible(), inputs.tables(), scores, flags, keys, found, chosen, slots));
    }

    /** What may be asked for after a run. */
    void onDemand() {
        positions.stream().distinct().forEach(recording::onDemand);
    }

    /** Shows an observer what was selected. */
    void show(Step step) {
        if (positions.stream().distinct().count() < positions.size()) {
            throw new EngineException("selections of " + k + " tokens for " + positions.size() + " layers are more than "
                    + "tornado keeps; use --linear-backend vector, or a smaller --index-topk.");
        }
        Selection selection = new Selection();
        boolean all = step.rows().longest() <= k;
        for (int layer = 0, last = -1; layer < pages.layers(); layer++) {
            if (last + 1 < layers.size() && layers.get(last + 1) == layer) {
                last++;
                recording.fetch(positions.get(last));
                selection = copy(step, positions.get(last));
            }
            if (all) {
                selection.resize(0, 0);
            }
            step.observer().selected(new LayerStep(layer, step.rows(), null, null, null, null), selection);
        }
    }

    private Selection copy(Step step, IntArray chosen) {
        int rows = step.rows().rows();
        Selection selection = new Selection();
        selection.resize(rows, k);
        DeviceArrays.copy(chosen, 0, selection.positions(), 0, rows * k);
        for (int row = 0; row < rows; row++) {
            selection.finishRow(step.rows(), row, Math.min(step.rows().visible(row), k));
        }
        return selection;
    }
}
