package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;

/**
 * The most likely tokens of rows of logits, so that not all logits must come to the host: the best one of each row, and
 * for {@link TopKKernels#kTopK} the logits as it reads them and what it selected as the host reads it.
 *
 * <p>Logits are compared as ints ({@link TopKSteps#order}): OpenCL's default flags allow comparisons of floats to take
 * NaN for anything. Of equal logits the lower token is better; NaN is below every number.
 *
 * <p>{@code meta} begins as that of {@link TopKKernels#kTopK}: rows, k, row stride of the bits; at {@link #VOCABULARY}
 * is how many logits a row has.
 */
public final class SamplingKernels {
    /** Threads of a block. */
    public static final int BLOCK = 128;
    /** Bytes of local memory of {@link #kPartBest} and of {@link #kBest}. */
    public static final int LOCAL_BYTES = Block.MAX_BYTES;
    /** The place of the vocabulary's size in {@code meta}. */
    public static final int VOCABULARY = 5;
    /** Logits that are worth a block of their own. */
    private static final int PART = 8 * BLOCK;
    /** A token is the difference to this, so that the lower one is the greater number. */
    private static final int LAST = 0x7fffffff;

    private SamplingKernels() {}

    /**
     * Bits of logits.
     *
     * @param logits {@code [rows, vocabulary]}
     * @param bits {@code [rows, stride]}
     */
    public static void kBits(KernelContext context, IntArray meta, FloatArray logits, IntArray bits) {
        int columns = meta.get(VOCABULARY);
        int count = meta.get(0) * columns;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            bits.set(i / columns * meta.get(2) + i % columns, Float.floatToRawIntBits(logits.get(i)));
        }
    }

    /** Blocks that share a row. */
    private static int share(IntArray meta, int blocks) {
        int most = (meta.get(VOCABULARY) + PART - 1) / PART;
        return Math.max(1, Math.min(most, blocks / Math.max(meta.get(0), 1)));
    }

    /**
     * The best of parts of rows. Every block has a place in {@code parts}, also those without work.
     *
     * @param parts {@code [blocks]}: for each row, of {@link #share} parts the best logit's key and in the lower half
     *     its token
     */
    public static void kPartBest(KernelContext context, IntArray meta, IntArray bits, LongArray parts) {
        int share = share(meta, context.globalGroupSizeX / BLOCK);
        int row = context.groupIdx / share;
        int end = row < meta.get(0) ? meta.get(VOCABULARY) : 0;
        int base = row < meta.get(0) ? row * meta.get(2) : 0;
        long best = Long.MIN_VALUE;
        for (int i = context.groupIdx % share * BLOCK + context.localIdx; i < end; i += share * BLOCK) {
            long next = ((long) TopKSteps.order(bits.get(base + i)) << 32) + (LAST - i);
            best = Math.max(best, next);
        }
        best = Block.max(context, best);
        if (context.localIdx == 0) {
            parts.set(context.groupIdx, best);
        }
    }

    /**
     * The best token of each row; -1 where its logit is not finite or the first token's is NaN, which a search from the
     * first on would keep. One block a row.
     *
     * @param partBlocks how many blocks {@link #kPartBest} had
     * @param best {@code [rows]}
     */
    public static void kBest(
            KernelContext context, IntArray meta, int partBlocks, IntArray bits, LongArray parts, IntArray best) {
        int row = context.groupIdx;
        int share = share(meta, partBlocks);
        int end = row < meta.get(0) ? share : 0;
        long mine = Long.MIN_VALUE;
        for (int i = context.localIdx; i < end; i += BLOCK) {
            mine = Math.max(mine, parts.get(row * share + i));
        }
        long top = Block.max(context, mine);
        int key = (int) (top >> 32);
        int token = LAST - (int) top;
        int first = TopKSteps.order(bits.get(row * meta.get(2)));
        int wrong = (key >= TopKSteps.MOST ? 1 : 0) + (key <= -TopKSteps.MOST ? 1 : 0)
                + (first == TopKSteps.LEAST ? 1 : 0);
        if (context.localIdx == 0) {
            best.set(row, wrong > 0 ? -1 : token);
        }
    }

    /**
     * Pairs of a token and the bits of its logit.
     *
     * @param tokens {@code [rows, k]}: positions that {@link TopKKernels#kTopK} selected; -1 stays
     * @param candidates {@code [rows, k, 2]}
     */
    public static void kCandidates(
            KernelContext context, IntArray meta, IntArray tokens, IntArray bits, IntArray candidates) {
        int k = Math.max(meta.get(1), 1);
        int count = meta.get(0) * meta.get(1);
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            int token = tokens.get(i);
            candidates.set(2 * i, token);
            candidates.set(2 * i + 1, bits.get(i / k * meta.get(2) + Math.max(token, 0)));
        }
    }
}
