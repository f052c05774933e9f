package dev.gyre.tornado.decoder;

import dev.gyre.model.ops.IndexInput;
import dev.gyre.model.ops.MlaShape;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.MmaMlaKernels;
import dev.gyre.tornado.kernels.MmaMlaSums;
import dev.gyre.tornado.kernels.MmaPackKernels;
import dev.gyre.tornado.kernels.MmaScoreKernels;
import dev.gyre.tornado.kernels.SplitKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;


/**
 * Index scores and attention on tensor cores within a decoder's graph, for DeepSeek-V3.2's shape: keys in FP8, latents in
 * bf16, or in FP8 that the selected ones are brought out of first.
 */
final class TensorAttention {
    /** Selected tokens of all rows that there is memory for: of 1152 bytes, and weights of 256. */
    private static final int MOST_SELECTED = 1 << 19;
    private static final int THREADS = 256;

    private final Recording recording;
    private final StepInputs inputs;
    private final DevicePages pages;
    private final int capacity;
    private final int blocks;
    private final int stride;
    private final int k;
    private final FloatArray table;
    private Scores scores;
    private Latents latents;

    /** What index scores keep; {@code meta} as {@link MmaScoreKernels#kScores} has it. */
    private record Scores(IntArray meta, IntArray halves, IntArray queries, FloatArray weights) {}

    /**
     * What attention keeps.
     *
     * @param meta rows, k, slots that the latents have, tokens of a run, runs
     * @param gather rows, k, slots of the cache
     * @param places null where latents are taken from the cache
     */
    private record Latents(
            IntArray meta,
            IntArray gather,
            FloatArray factors,
            IntArray places,
            IntArray gathered,
            LongArray queries,
            LongArray weights,
            FloatArray highest,
            FloatArray totals,
            FloatArray parts) {}

    /**
     * @param stride scores of a row that there is room for
     * @param k slots of a row
     */
    TensorAttention(Recording recording, StepInputs inputs, DevicePages pages, int capacity, int blocks, int stride, int k,
            FloatArray table) {
        this.recording = recording;
        this.inputs = inputs;
        this.pages = pages;
        this.capacity = capacity;
        this.blocks = blocks;
        this.stride = stride;
        this.k = k;
        this.table = table;
    }

    /** Whether index scores are made here. */
    static boolean scores(int format, int heads, int dim) {
        return format == Decode.FP8 && heads == MmaScoreKernels.HEADS && dim == MmaScoreKernels.DIM;
    }

    /** Whether attention is made here. */
    static boolean attends(int format, int heads, int latent, int rope, int capacity, int k) {
        return format != Decode.F32
                && heads == MmaMlaKernels.HEADS
                && latent == MmaMlaKernels.LATENT
                && rope == MmaMlaKernels.ROPE
                && k % MmaMlaKernels.TILE == 0
                && (long) capacity * k <= MOST_SELECTED;
    }

    boolean scores(IndexInput index) {
        return scores(pages.format(), index.heads(), index.dim());
    }

    boolean attends(MlaShape shape) {
        return attends(pages.format(), shape.heads(), shape.latent(), shape.rope(), capacity, k);
    }

    /** Sets what depends on how many rows the next run has. */
    void rows(int count) {
        int some = Math.max(1, count);
        if (scores != null) {
            set(scores.meta, count, stride, inputs.stride(), MmaScoreKernels.shares(some, stride));
        }
        if (latents != null) {
            int slots = latents.places == null ? pages.slots() : capacity * k;
            set(latents.meta, count, k, slots, MmaMlaSums.runTokens(some, k), MmaMlaSums.runs(some, k));
            set(latents.gather, count, k, pages.slots());
        }
    }

    private static void set(IntArray meta, int... values) {
        DeviceArrays.copy(values, 0, meta, 0, values.length);
    }

    /** Scores of what rows see, {@code [capacity, stride]}. */
    void score(DevicePages.Layer cache, IndexInput index, IntArray target) {
        if (scores == null) {
            scores = new Scores(DeviceArrays.ints(4), SplitKernels.halves(),
                    DeviceArrays.ints(capacity * MmaScoreKernels.PACKED_INTS),
                    DeviceArrays.floats(capacity * MmaScoreKernels.HEADS));
            recording.always(scores.meta);
        }
        Scores kept = scores;
        recording.call("pack", 2, blocks, MmaPackKernels.BLOCK, MmaPackKernels.PACK_BYTES, call -> call.kernel(
                MmaPackKernels::kPackIndex, kept.meta, DeviceTensor.of(index.queries()).packed(),
                DeviceTensor.of(index.weights()).packed(), kept.halves, kept.queries, kept.weights));
        recording.call("scores", Math.max(capacity, MmaScoreKernels.shares(1, Integer.MAX_VALUE)), MmaScoreKernels.THREADS,
                MmaScoreKernels.LOCAL_BYTES, call -> call.kernel(MmaScoreKernels::kScores, kept.meta, inputs.visible(),
                        inputs.tables(), kept.queries, kept.weights, cache.keyInts(), cache.keyFloats(), target));
    }

    /** Attention to selected slots. */
    void attend(DevicePages.Layer cache, FloatArray q, MlaShape shape, IntArray slots, FloatArray out) {
        if (latents == null) {
            latents = allocate(pages.format() == Decode.FP8, shape.scale());
            recording.always(latents.meta, latents.gather);
        }
        Latents kept = latents;
        boolean gathers = kept.places != null;
        if (gathers) {
            recording.call("gathered", 2, blocks, THREADS, 0, call -> call.kernel(MmaPackKernels::kGather, kept.gather,
                    slots, cache.latentInts(), cache.latentFloats(), table, kept.places, kept.gathered));
        }
        recording.call("queries", blocks / 2, THREADS, 0,
                call -> call.kernel(MmaMlaKernels::kPackQueries, kept.meta, q, kept.queries));
        recording.call("weights", 2, capacity * k / MmaMlaKernels.TILE, MmaMlaKernels.THREADS, MmaMlaKernels.LOCAL_BYTES,
                call -> call.kernel(MmaMlaKernels::kWeights, kept.meta, kept.factors, gathers ? kept.places : slots,
                        kept.queries, gathers ? kept.gathered : cache.latentInts(), kept.weights, kept.highest));
        recording.call("sums", 2, kept.totals.getSize() / MmaMlaKernels.HEADS * MmaMlaSums.COLUMNS, MmaMlaSums.THREADS,
                MmaMlaSums.LOCAL_BYTES, call -> call.kernel(MmaMlaSums::kSums, kept.meta, gathers ? kept.places : slots,
                        kept.weights, kept.highest, gathers ? kept.gathered : cache.latentInts(), kept.totals, kept.parts));
        recording.call("divide", blocks / 2, THREADS, 0,
                call -> call.kernel(MmaMlaSums::kDivide, kept.meta, kept.totals, kept.parts, out));
    }

    private Latents allocate(boolean gathers, float scale) {
        int parts = parts(capacity, k);
        FloatArray factors = new FloatArray(1);
        factors.set(0, scale);
        return new Latents(
                DeviceArrays.ints(5),
                DeviceArrays.ints(3),
                factors,
                gathers ? DeviceArrays.ints(capacity * k) : null,
                gathers ? DeviceArrays.ints(Decode.LEAD + capacity * k * (MmaMlaKernels.WIDTH / 2)) : null,
                DeviceArrays.longs(MmaMlaKernels.LONG_LEAD + capacity * MmaMlaKernels.PACKED),
                DeviceArrays.longs(MmaMlaKernels.LONG_LEAD + capacity * k * (MmaMlaKernels.HEADS / 4)),
                DeviceArrays.floats(capacity * k / MmaMlaKernels.TILE * MmaMlaKernels.HEADS),
                DeviceArrays.floats(parts * MmaMlaKernels.HEADS),
                DeviceArrays.floats(parts * MmaMlaKernels.HEADS * MmaMlaKernels.LATENT));
    }

    /** Runs of all rows, at most. */
    private static int parts(int capacity, int k) {
        int most = 1;
        for (int rows = 1; rows <= capacity; rows++) {
            most = Math.max(most, rows * MmaMlaSums.runs(rows, k));
        }
        return most;
    }
}
