package dev.gyre.tornado.decoder;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.ops.Candidates;
import dev.gyre.model.ops.LogitRows;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.kernels.SamplingKernels;
import dev.gyre.tornado.kernels.TopKKernels;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;

/**
 * The end of the graph: the best tokens of rows of logits. One int a row comes back where one token is enough,
 * {@code k} pairs of ints where {@code k} are, and all logits of a row only where they are needed. In a run that needs
 * all logits of all rows the kernels find no row and do nothing.
 */
final class SamplingCalls {
    /** The most tokens that are looked for; who wants more gets all logits. */
    static final int MOST_CANDIDATES = 1024;

    private final Recording recording;
    private final DeviceTensor logits;
    private final int vocabulary;
    /** What {@link TopKKernels} and {@link SamplingKernels} know of the step; of a row how many logits are searched. */
    private final IntArray meta = DeviceArrays.ints(SamplingKernels.VOCABULARY + 1);
    private final IntArray searched;
    private final IntArray best;
    private final IntArray candidates;
    private boolean wanted;
    private int[] tokens = new int[0];
    private float[] values = new float[0];

    /** Records the kernels. */
    SamplingCalls(Recording recording, DeviceTensor logits, int blocks, int topkThreads) {
        this.recording = recording;
        this.logits = logits;
        vocabulary = logits.columns();
        int capacity = logits.capacity();
        int stride = Math.ceilDiv(vocabulary, TopKKernels.STRETCH) * TopKKernels.STRETCH;
        if (stride >= TopKKernels.LONGEST) {
            throw new EngineException("tornado serves vocabularies of fewer than " + TopKKernels.LONGEST
                    + " tokens, and this model has " + vocabulary + "; use --linear-backend vector.");
        }
        meta.set(2, stride);
        meta.set(SamplingKernels.VOCABULARY, vocabulary);
        searched = DeviceArrays.ints(capacity);
        best = DeviceArrays.ints(capacity);
        int most = capacity * Math.min(MOST_CANDIDATES, vocabulary);
        candidates = DeviceArrays.ints(2 * most);
        recording.always(meta, searched);

        int partBlocks = Math.max(capacity, blocks);
        IntArray bits = DeviceArrays.ints(Math.multiplyExact(capacity, stride));
        LongArray parts = DeviceArrays.longs(partBlocks);
        recording.call("bits", blocks, SamplingKernels.BLOCK, 0, call -> call.kernel(SamplingKernels::kBits, meta,
                logits.packed(), bits));
        recording.call("partBest", partBlocks, SamplingKernels.BLOCK, SamplingKernels.LOCAL_BYTES,
                call -> call.kernel(SamplingKernels::kPartBest, meta, bits, parts));
        recording.call("best", capacity, SamplingKernels.BLOCK, SamplingKernels.LOCAL_BYTES,
                call -> call.kernel(SamplingKernels::kBest, meta, partBlocks, bits, parts, best));
        // a vocabulary is to top-k what the tokens that a row sees are, on pages one behind the other
        IntArray flags = DeviceArrays.ints(capacity * (stride / 32 * 3));
        IntArray keys = DeviceArrays.ints(capacity * stride);
        IntArray found = DeviceArrays.ints(capacity * TopKKernels.FOUND);
        IntArray chosen = DeviceArrays.ints(most);
        IntArray slots = DeviceArrays.ints(most);
        IntArray pages = DeviceArrays.ints(stride / PageTable.PAGE);
        for (int page = 0; page < pages.getSize(); page++) {
            pages.set(page, page);
        }
        recording.call("candidates", 5, capacity, topkThreads, TopKKernels.LOCAL_BYTES, call -> call.kernel(
                TopKKernels::kTopK, meta, searched, pages, bits, flags, keys, found, chosen, slots));
        recording.call("pairs", blocks, SamplingKernels.BLOCK, 0, call -> call.kernel(SamplingKernels::kCandidates,
                meta, chosen, bits, candidates));
        recording.onDemand(logits.packed(), best, candidates);
    }

    /** What the next run's outputs are wanted for. */
    void ask(LogitRows rows) {
        int k = 0;
        wanted = false;
        for (int row = 0; row < rows.rows(); row++) {
            int enough = enough(rows, row);
            wanted |= enough > 0;
            searched.set(row, enough > 1 ? vocabulary : 0);
            k = Math.max(k, enough > 1 ? enough : 0);
        }
        meta.set(1, k);
    }

    /** How many rows the next run has logits of. */
    void outputs(int count) {
        meta.set(0, wanted ? count : 0);
    }

    private int enough(LogitRows rows, int row) {
        int enough = rows.enough(row);
        return enough <= MOST_CANDIDATES ? Math.min(enough, vocabulary) : 0;
    }

    /** Brings what was asked for. */
    void fetch(LogitRows rows) {
        fetchLogits(rows);
        if (!wanted) {
            return;
        }
        int count = rows.rows();
        int k = meta.get(1);
        recording.fetch(best, 0, count);
        if (tokens.length < count * Math.max(k, 1)) {
            tokens = new int[count * Math.max(k, 1)];
            values = new float[tokens.length];
        }
        if (k > 0) {
            recording.fetch(candidates, 0, 2 * count * k);
        }
        for (int row = 0; row < count; row++) {
            int enough = enough(rows, row);
            if (enough > 0) {
                int at = row * Math.max(k, 1);
                rows.setBest(row, new Candidates(tokens, values, at, best.get(row) < 0 ? 0 : copy(row, enough, k, at)));
            }
        }
    }

    /** Copies a row's best to the host's arrays from {@code at} on; how many there are. */
    private int copy(int row, int enough, int k, int at) {
        if (enough == 1) {
            tokens[at] = best.get(row);
            return 1;
        }
        int count = 0;
        for (int i = row * k; i < (row + 1) * k; i++) {
            float value = Float.intBitsToFloat(candidates.get(2 * i + 1));
            if (candidates.get(2 * i) >= 0 && Float.isFinite(value)) { // what is not finite is never drawn
                tokens[at + count] = candidates.get(2 * i);
                values[at + count] = value;
                count++;
            }
        }
        return count;
    }

    /** Brings all logits of rows that need them, neighbours at once. */
    private void fetchLogits(LogitRows rows) {
        for (int row = 0; row < rows.rows(); row++) {
            int first = row;
            while (row < rows.rows() && enough(rows, row) == 0) {
                row++;
            }
            if (row > first) {
                int count = (row - first) * vocabulary;
                recording.fetch(logits.packed(), first * vocabulary, count);
                DeviceArrays.copy(logits.packed(), first * vocabulary, rows.all(), first * vocabulary, count);
            }
        }
    }
}
