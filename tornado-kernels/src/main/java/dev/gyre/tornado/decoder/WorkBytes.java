package dev.gyre.tornado.decoder;

import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.tornado.kernels.TopKKernels;

import java.util.stream.IntStream;

/** What the graph needs on a device beside weights, caches and tensors, known before any of it is made. */
final class WorkBytes {
    private final ModelConfig config;
    private final Selections selections;
    private final long capacity;
    private final boolean tensorCores;

    WorkBytes(ModelConfig config, Selections selections, int capacity, boolean tensorCores) {
        this.config = config;
        this.selections = selections;
        this.capacity = capacity;
        this.tensorCores = tensorCores;
    }

    /** Bytes for so many sequences of at most {@code longest} tokens. */
    long of(int sequences, int longest) {
        long slots = Math.ceilDiv(longest, PageTable.PAGE) * (long) PageTable.PAGE * sequences;
        long stride = Math.ceilDiv(Math.min(longest, slots), TopKKernels.STRETCH) * TopKKernels.STRETCH;
        long numbers =
                inputs(stride) + attention(stride) + angles(stride) + (anyMoe() ? experts() : 0) + sampling();
        return numbers * Integer.BYTES;
    }

    private boolean anyMoe() {
        return IntStream.range(0, config.layers()).anyMatch(config::isMoe);
    }

    private boolean anyIndexer() {
        return IntStream.range(0, config.layers()).anyMatch(selections::scores);
    }

    /** {@link StepInputs}: three numbers of a row, and its pages. */
    private long inputs(long stride) {
        return capacity * (3 + stride / PageTable.PAGE);
    }

    /** {@link AttentionCalls}: scores, the best of them, positions and slots; bits of what is stored. */
    private long attention(long stride) {
        long k = selections.topk() == Selections.ALL ? stride : Math.min(selections.topk(), stride);
        long selecting = Math.max(1, IntStream.range(0, config.layers()).filter(selections::selects).count());
        long positions = AttentionCalls.apart(capacity, k, config.layers()) ? selecting : 1;
        long row = stride + stride + stride / 32 * 3 + TopKKernels.FOUND + k + positions * k;
        long bits = config.mla().kvRank() + config.mla().rope() + (anyIndexer() ? config.indexer().dim() : 0);
        return capacity * (row + bits);
    }

    /** {@link RowCalls}: a cosine and a sine for every pair that is rotated. */
    private long angles(long stride) {
        return stride * config.mla().rope() * (anyIndexer() ? 2 : 1);
    }

    /** {@link ExpertArrays}. */
    private long experts() {
        ModelConfig.Moe moe = config.moe();
        long routing = moe.experts();
        long chosen = 4L * moe.perToken(); // numbers, weights, lists, places
        long routed = moe.perToken() * ((long) moe.intermediate() + config.hidden());
        long shared = 1 + (long) moe.shared() * moe.intermediate() + config.hidden();
        return capacity * (routing + chosen + routed + shared);
    }

    /** {@link SamplingCalls}: bits of logits, what top-k makes of them, the best, and the candidates. */
    private long sampling() {
        long vocabulary = config.vocabulary();
        long stride = Math.ceilDiv(vocabulary, TopKKernels.STRETCH) * TopKKernels.STRETCH;
        long candidates = 4 * Math.min(SamplingCalls.MOST_CANDIDATES, vocabulary);
        long row = stride + stride + stride / 32 * 3 + TopKKernels.FOUND + candidates + 2;
        return capacity * row + stride / PageTable.PAGE;
    }
}
