package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** What a step of a decoder does to the caches that live on the device alone, and the index scores it makes of them. */
public final class StepKernels {
    /** Threads of a block. */
    public static final int BLOCK = 128;
    /** Threads of a block of {@link #kScores}: one for each key of a page. */
    public static final int SCORE_BLOCK = 64;
    /** The widest index key. */
    public static final int MOST_DIM = 128;
    /** Bytes of local memory of {@link #kScores}: a page of keys, and the queries of some heads. */
    public static final int SCORE_BYTES = (64 * MOST_DIM + 16 * MOST_DIM) * Float.BYTES;
    /** Ints of a command of {@link #kPages}. */
    public static final int COMMAND = 3;
    /** A command: the page is made what another one is. */
    public static final int COPY = 0;
    /** A command: the page is filled with numbers drawn from {@code draws}. */
    public static final int DRAW = 1;

    private StepKernels() {}

    /** What a pool's int i of a page becomes where numbers are drawn: plain ones, or codes and behind them plain ones. */
    private static int drawn(IntArray draws, int seed, int i, int rowInts, int codedInts) {
        int mixed = (i % 65521) * 31 + (seed % 8191) * 97 + i / 65521;
        int pick = (mixed + mixed / 256 * 7) & 255;
        return draws.get(i % rowInts < codedInts ? pick : 256 + pick);
    }

    /**
     * Pages of one layer's caches, before anything is stored in them.
     *
     * @param commands how many, then for each what to do, the page (or the seed) that it is made from, and the page
     * @param shape ints of a page of latents, floats of it, ints of a page of keys, floats of it, ints of a row of latents,
     *     those of them that are codes, ints of a key, those of them that are codes
     * @param draws 256 ints of four codes, 256 of two bf16
     * @param drawFloats 256 f32 numbers, or scales
     */
    public static void kPages(
            KernelContext context,
            IntArray commands,
            IntArray shape,
            int op,
            IntArray draws,
            FloatArray drawFloats,
            IntArray latentInts,
            FloatArray latentFloats,
            IntArray keyInts,
            FloatArray keyFloats) {
        int threads = context.globalGroupSizeX;
        for (int c = 0; c < commands.get(0); c++) {
            int draw = commands.get(1 + c * 3);
            int from = commands.get(2 + c * 3);
            int to = commands.get(3 + c * 3);
            int page = draw > 0 ? to : from;
            for (int i = context.globalIdx; i < shape.get(op + 0); i += threads) {
                int there = latentInts.get(Decode.LEAD + page * shape.get(op + 0) + i);
                int fresh = drawn(draws, from, i, shape.get(op + 4), shape.get(op + 5));
                latentInts.set(Decode.LEAD + to * shape.get(op + 0) + i, draw > 0 ? fresh : there);
            }
            for (int i = context.globalIdx; i < shape.get(op + 1); i += threads) {
                float there = latentFloats.get(page * shape.get(op + 1) + i);
                float fresh = drawFloats.get((i + (from % 8191) * 97 + i / 256 * 7) & 255);
                latentFloats.set(to * shape.get(op + 1) + i, draw > 0 ? fresh : there);
            }
            for (int i = context.globalIdx; i < shape.get(op + 2); i += threads) {
                int there = keyInts.get(Decode.LEAD + page * shape.get(op + 2) + i);
                int fresh = drawn(draws, from + 1, i, shape.get(op + 6), shape.get(op + 7));
                keyInts.set(Decode.LEAD + to * shape.get(op + 2) + i, draw > 0 ? fresh : there);
            }
            for (int i = context.globalIdx; i < shape.get(op + 3); i += threads) {
                float there = keyFloats.get(page * shape.get(op + 3) + i);
                float fresh = drawFloats.get((i + (from % 8191) * 89 + i / 256 * 5) & 255);
                keyFloats.set(to * shape.get(op + 3) + i, draw > 0 ? fresh : there);
            }
        }
    }

    /**
     * Stores each row in the slot of the last token that it sees, as {@link AppendKernels#kAppend} does, from f32 numbers.
     * One block a row.
     *
     * @param meta as there
     * @param x {@code [rows, coded + plain]}
     * @param rows {@code [rows, coded + plain]}: scratch, bits of x
     */
    public static void kStore(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray tables,
            FloatArray x,
            IntArray rows,
            IntArray bits,
            FloatArray floats) {
        int row = Math.min(context.groupIdx, Math.max(meta.get(0) - 1, 0));
        int format = context.groupIdx < meta.get(0) ? meta.get(3) : AppendKernels.NONE;
        int coded = meta.get(1);
        int plain = meta.get(2);
        int from = row * (coded + plain);
        int mine = format == AppendKernels.NONE ? 0 : coded + plain;
        for (int i = context.localIdx; i < mine; i += BLOCK) {
            rows.set(from + i, Float.floatToRawIntBits(x.get(from + i)));
        }
        // what was stored as floats is read as ints from here on
        context.globalBarrier();
        int slot = AppendKernels.slot(tables, row * meta.get(4), Math.max(visible.get(row) - 1, 0));
        AppendKernels.storePlain(context, rows, from, format, coded, plain, slot, bits, floats);
        int scale = AppendKernels.scale(context, rows, from, format, coded, meta.get(5));
        AppendKernels.storeCodes(context, rows, from, format, coded, plain, scale, slot, bits, floats);
    }

    /**
     * Bits of {@code scores[r, s] = sum_h w[r, h] * relu(q[r, h] . k[s])} for rows that see more than k tokens; the others
     * select everything. Blocks share the pages of a row where there are more of them than rows.
     *
     * @param meta rows, k, row stride of the scores, row stride of the page tables
     * @param shape index heads, dim, format
     * @param q {@code [rows, heads, dim]}
     * @param w {@code [rows, heads]}
     */
    public static void kScores(
            KernelContext context,
            IntArray meta,
            IntArray shape,
            int op,
            IntArray visible,
            IntArray tables,
            FloatArray q,
            FloatArray w,
            IntArray bits,
            FloatArray floats,
            FloatArray table,
            IntArray scores) {
        float[] page = context.allocateFloatLocalArray(64 * 128);
        float[] near = context.allocateFloatLocalArray(16 * 128);
        int rows = meta.get(0);
        int heads = shape.get(op + 0);
        int dim = shape.get(op + 1);
        int format = shape.get(op + 2);
        int thread = context.localIdx;
        int blocks = context.globalGroupSizeX / 64;
        int share = Math.max(1, blocks / Math.max(rows, 1));
        for (int item = context.groupIdx; item < rows * share; item += blocks) {
            int row = item / share;
            int all = visible.get(row);
            int seen = all > meta.get(1) ? all : 0;
            for (int p = item % share; p * 64 < seen; p += share) {
                int first = tables.get(row * meta.get(3) + p) * 64;
                context.localBarrier();
                // neighbouring threads load neighbouring values of a key; lanes along the keys read without bank conflicts
                for (int i = thread; i < 64 * dim; i += 64) {
                    page[i % dim * 64 + i / dim] = Decode.key(bits, floats, table, format, dim, first + i / dim, i % dim);
                }
                float total = 0f;
                for (int h = 0; h < heads; h += 16) {
                    context.localBarrier();
                    for (int i = thread; i < 16 * dim; i += 64) {
                        near[i] = h * dim + i < heads * dim ? q.get((row * heads + h) * dim + i) : 0f;
                    }
                    context.localBarrier();
                    int end = Math.min(16, heads - h);
                    for (int i = 0; i < end; i++) {
                        float dot = 0f;
                        for (int d = 0; d < dim; d++) {
                            dot += near[i * dim + d] * page[d * 64 + thread];
                        }
                        total += w.get(row * heads + h + i) * Math.max(dot, 0f);
                    }
                }
                if (p * 64 + thread < seen) {
                    scores.set(row * meta.get(2) + p * 64 + thread, Float.floatToRawIntBits(total));
                }
            }
        }
    }
}
