package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Exact top-k, and each row's scores are read once:
 * <ol>
 *   <li>a {@linkplain TopKSample#bracket sample} of the row says between which two scores the k-th largest must be looked
 *   for;
 *   <li>a {@linkplain TopKSteps#sift pass} over the row flags what lies above these, and counts it. The k-th largest then
 *   is known to lie in one of four classes, and nearly always it is the small one that the sample meant;
 *   <li>the class is gathered, and its scores alone are looked at until the k-th largest is known, or a score that
 *   exactly k reach;
 *   <li>flags are chosen, put in the order of positions, counted, and written as positions.
 * </ol>
 * A sample that misleads costs time and nothing else: then another class is gathered, at worst all of the row. No atomics
 * and no sorting, so the result is deterministic.
 *
 * <p>{@link #kTopK} does all of it with one block a row. For few and long rows {@link #kSift} shares the pass over a row
 * among several blocks, and {@link #kSelect} does the rest. Rows are shorter than {@link #LONGEST}.
 */
public final class TopKKernels {
    /** The most threads of a block. */
    public static final int MOST_BLOCK = 1024;
    /** Threads of a block that shares a row with others: small, so that there are many. */
    public static final int SHARING_THREADS = 256;
    /** Rows that many keep a device busy with one block each. */
    public static final int MANY_ROWS = 64;
    /** Scores of a row that are not worth a kernel more. */
    private static final int SHORT_ROW = 32_768;
    /** Bytes of local memory that each of the kernels needs at most. */
    public static final int LOCAL_BYTES =
            TopKSample.BYTES + 2 * Block.SUM_BYTES + 3 * Block.BEFORE_BYTES + 2 * Block.FLIP_BYTES;
    /** The stride of rows of scores is a multiple of this: what 32 threads flag in an int each. */
    public static final int STRETCH = 32 * Block.GROUP;
    /** Rows have fewer scores: three counts of them are one long. */
    public static final int LONGEST = 1 << TopKSteps.FIELD_BITS;
    /** Ints that {@link #kSift} counts for each block of a row. */
    public static final int COUNTS = 3;
    /** Ints of what is found of a row. */
    public static final int FOUND = TopKSteps.FOUND;

    private TopKKernels() {}

    /**
     * Blocks of {@link #kSift} a row; 0 where {@link #kTopK} is the better choice.
     *
     * @param most scores of a row
     * @param threads of such a block
     */
    public static int sharingBlocks(int rows, int most, int threads) {
        return rows < MANY_ROWS && most > SHORT_ROW ? Math.ceilDiv(most, 32 * threads) : 0;
    }

    /**
     * Selects the best k of what each row sees: higher score first, of equal scores the lower position. One block a row.
     *
     * @param meta rows, k, row stride of the scores (a multiple of {@link #STRETCH}), row stride of the page tables,
     *     blocks of {@link #kSift} a row
     * @param visible {@code [rows]}: how many tokens a row sees
     * @param tables {@code [rows, stride]}: pages of a row's sequence
     * @param scores {@code [rows, stride]}: bits of f32 scores
     * @param flags {@code [rows, 3, stride / 32]}: scratch
     * @param keys {@code [rows, stride]}: scratch
     * @param found {@code [rows, 8]}: scratch
     * @param positions {@code [rows, k]}: ascending, padded with -1
     * @param slots {@code [rows, k]}: cache slots of the positions, padded with -1
     */
    public static void kTopK(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray tables,
            IntArray scores,
            IntArray flags,
            IntArray keys,
            IntArray found,
            IntArray positions,
            IntArray slots) {
        int row = context.groupIdx;
        int k = meta.get(1);
        int n = TopKSteps.toSelect(meta, visible, row);
        int base = row * meta.get(2);
        int plane = meta.get(2) / 32;
        int planes = row * plane * 3;
        long bracket = TopKSample.bracket(context, scores, base, n, k);
        int t1 = TopKSample.lower(bracket);
        int t3 = TopKSample.upper(bracket);
        long counts = TopKSteps.sift(
                scores, base, n, flags, planes, plane, t1, t3,
                context.localIdx, context.localGroupSizeX, TopKSteps.words(n));
        TopKSteps.classify(context, n, k, counts, t1, t3, found);
        int begin = TopKSteps.gather(context, scores, flags, keys, base, planes, plane, n, found);
        TopKSteps.narrow(context, keys, base, k, found);
        TopKSteps.mark(context, flags, keys, planes, plane, n, k, begin, found);
        TopKSteps.addTies(context, flags, planes, plane, n, k, found);
        TopKSteps.write(
                context, flags, planes, n, row * k, tables, row * meta.get(3), positions, slots);
        TopKSteps.wholeRow(context, meta, visible, tables, positions, slots);
    }

    /**
     * The pass over the scores alone, shared by several blocks a row: block p of a row takes the p-th flags, as many as it
     * has threads. Each draws the row's sample for itself, which is quicker than a kernel more.
     *
     * @param counts {@code [rows, blocks, 3]}: how many scores of a block reach each threshold
     * @param found {@code [rows, 8]}: the thresholds, for {@link #kSelect}
     */
    public static void kSift(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray scores,
            IntArray flags,
            IntArray counts,
            IntArray found) {
        int row = context.groupIdx / meta.get(4);
        int part = context.groupIdx % meta.get(4);
        int k = meta.get(1);
        int n = TopKSteps.toSelect(meta, visible, row);
        int base = row * meta.get(2);
        int plane = meta.get(2) / 32;
        int planes = row * plane * 3;
        int first = part * context.localGroupSizeX;
        long bracket = TopKSample.bracket(context, scores, base, n, k);
        int t1 = TopKSample.lower(bracket);
        int t3 = TopKSample.upper(bracket);
        int end = Math.min(first + context.localGroupSizeX, TopKSteps.words(n));
        long total = Block.sum(context, TopKSteps.sift(
                scores, base, n, flags, planes, plane, t1, t3,
                first + context.localIdx, context.localGroupSizeX, end));
        if (context.localIdx == 0) {
            found.set(row * FOUND, t1); // the same whichever block
            found.set(row * FOUND + 1, t3);
            counts.set(context.groupIdx * COUNTS, TopKSteps.field(total, 0));
            counts.set(context.groupIdx * COUNTS + 1, TopKSteps.field(total, 1));
            counts.set(context.groupIdx * COUNTS + 2, TopKSteps.field(total, 2));
        }
    }

    /** What {@link #kTopK} does after the pass, which {@link #kSift} has done. One block a row. */
    public static void kSelect(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray tables,
            IntArray scores,
            IntArray flags,
            IntArray keys,
            IntArray counts,
            IntArray found,
            IntArray positions,
            IntArray slots) {
        int row = context.groupIdx;
        int k = meta.get(1);
        int n = TopKSteps.toSelect(meta, visible, row);
        int base = row * meta.get(2);
        int plane = meta.get(2) / 32;
        int planes = row * plane * 3;
        int blocks = meta.get(4);
        long mine = 0;
        for (int part = context.localIdx; part < blocks; part += context.localGroupSizeX) {
            int at = (row * blocks + part) * COUNTS;
            mine += TopKSteps.fields(counts.get(at), counts.get(at + 1), counts.get(at + 2));
        }
        int t1 = found.get(row * FOUND);
        int t3 = found.get(row * FOUND + 1);
        TopKSteps.classify(context, n, k, mine, t1, t3, found);
        int begin = TopKSteps.gather(context, scores, flags, keys, base, planes, plane, n, found);
        TopKSteps.narrow(context, keys, base, k, found);
        TopKSteps.mark(context, flags, keys, planes, plane, n, k, begin, found);
        TopKSteps.addTies(context, flags, planes, plane, n, k, found);
        TopKSteps.write(
                context, flags, planes, n, row * k, tables, row * meta.get(3), positions, slots);
        TopKSteps.wholeRow(context, meta, visible, tables, positions, slots);
    }
}
