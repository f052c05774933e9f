package dev.gyre.tornado.decoder;

import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.MmaLinearKernels;
import dev.gyre.tornado.kernels.MmaMlaKernels;
import dev.gyre.tornado.kernels.MmaScoreKernels;
import dev.gyre.tornado.kernels.TopKKernels;

import java.util.stream.IntStream;

/** What the graph needs on a device beside weights, caches and tensors, known before any of it is made. */
final class WorkBytes {
    private final ModelConfig config;
    private final Selections selections;
    private final long capacity;
    /** Blocks that fill the device, where it has tensor cores; else 0. */
    private final int blocks;

    /** @param blocks that fill the device, where it has tensor cores; else 0 */
    WorkBytes(ModelConfig config, Selections selections, int capacity, int blocks) {
        this.config = config;
        this.selections = selections;
        this.capacity = capacity;
        this.blocks = blocks;
    }

    /** Bytes for so many sequences of at most {@code longest} tokens. */
    long of(int sequences, int longest) {
        long slots = Math.ceilDiv(longest, PageTable.PAGE) * (long) PageTable.PAGE * sequences;
        long stride = Math.ceilDiv(Math.min(longest, slots), TopKKernels.STRETCH) * TopKKernels.STRETCH;
        long numbers =
                inputs(stride) + attention(stride) + angles(stride) + (anyMoe() ? experts() : 0) + sampling()
                        + (blocks > 0 ? products() + tensorAttention(stride) : 0);
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

    /** {@link TensorProducts}, as if it made all products: what is multiplied, in halves or in three, and parts. */
    private long products() {
        ModelConfig.Mla mla = config.mla();
        int heads = mla.heads();
        long split = 3L * config.hidden() + mla.qRank() + (long) heads * (mla.kvRank() + mla.value());
        int most = Math.max(config.intermediate(), Math.max(config.hidden(), heads * (mla.nope() + mla.rope())));
        long parts = 0;
        for (int outputs = MmaLinearKernels.OUTPUTS; outputs <= most; outputs += MmaLinearKernels.OUTPUTS) {
            parts = Math.max(parts, (long) outputs * TensorProducts.parts(blocks, outputs, most));
        }
        long inner = config.intermediate();
        if (anyMoe()) {
            ModelConfig.Moe moe = config.moe();
            int busy = moe.perToken() * moe.intermediate();
            inner += busy + (long) moe.shared() * moe.intermediate();
            parts += 2L * busy * TensorProducts.parts(blocks, busy, config.hidden());
        }
        return capacity * (split + inner + parts);
    }

    /** {@link TensorAttention} with FP8 caches, which take most. */
    private long tensorAttention(long stride) {
        ModelConfig.Mla mla = config.mla();
        long k = selections.topk() == Selections.ALL ? stride : Math.min(selections.topk(), stride);
        long row = 0;
        if (anyIndexer() && TensorAttention.scores(Decode.FP8, config.indexer().heads(), config.indexer().dim())) {
            row += MmaScoreKernels.PACKED_INTS + MmaScoreKernels.HEADS;
        }
        if (TensorAttention.attends(Decode.FP8, mla.heads(), mla.kvRank(), mla.rope(), (int) capacity, (int) k)) {
            long token = 1 + MmaMlaKernels.WIDTH / 2 + MmaMlaKernels.HEADS / 2 + 1;
            row += k * token + 2L * MmaMlaKernels.PACKED + MmaMlaKernels.HEADS * (1L + MmaMlaKernels.LATENT);
        }
        return capacity * row;
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
