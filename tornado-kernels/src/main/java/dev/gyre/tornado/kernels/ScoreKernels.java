package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** The lightning indexer's scores, on any device. */
public final class ScoreKernels {
    /** Threads of a block: one for each key of a page. */
    public static final int BLOCK = 64;
    /** The widest index key. */
    public static final int MOST_DIM = 128;
    /** Blocks that share the pages of a row. */
    public static final int PAGE_GROUPS = 32;
    private static final int HEADS = 16;
    /** Bytes of local memory: a page of keys, and the queries of some heads. */
    public static final int LOCAL_BYTES = (BLOCK * MOST_DIM + HEADS * MOST_DIM) * Float.BYTES;

    private ScoreKernels() {}

    /**
     * {@code scores[r, s] = sum_h w[r, h] * relu(q[r, h] . k[s])} for every token that a row sees.
     *
     * @param meta rows, heads, dim, format, row stride of the scores, row stride of the page tables
     * @param visible {@code [rows]}: how many tokens a row sees
     * @param tables {@code [rows, stride]}: pages of a row's sequence
     * @param q {@code [rows, heads, dim]}
     * @param w {@code [rows, heads]}
     * @param bits keys in bf16 or FP8
     * @param floats keys in f32, or the scales of FP8
     */
    public static void kScore(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray tables,
            FloatArray q,
            FloatArray w,
            IntArray bits,
            FloatArray floats,
            FloatArray table,
            FloatArray scores) {
        float[] page = context.allocateFloatLocalArray(64 * 128);
        float[] near = context.allocateFloatLocalArray(16 * 128);
        int rows = meta.get(0);
        int heads = meta.get(1);
        int dim = meta.get(2);
        int format = meta.get(3);
        int row = context.groupIdx / 32;
        int thread = context.localIdx;
        int seen = row < rows ? visible.get(row) : 0;
        for (int p = context.groupIdx % 32; p * 64 < seen; p += 32) {
            int first = tables.get(row * meta.get(5) + p) * 64;
            context.localBarrier();
            // neighbouring threads load neighbouring values of a key; lanes along the keys read without bank conflicts
            for (int i = thread; i < 64 * dim; i += 64) {
                page[i % dim * 64 + i / dim] = Decode.key(bits, floats, table, format, dim, first + i / dim, i % dim);
            }
            float total = 0f;
            for (int h = 0; h < heads; h += HEADS) {
                context.localBarrier();
                for (int i = thread; i < HEADS * dim; i += 64) {
                    near[i] = h * dim + i < heads * dim ? q.get((row * heads + h) * dim + i) : 0f;
                }
                context.localBarrier();
                int end = Math.min(HEADS, heads - h);
                for (int i = 0; i < end; i++) {
                    float dot = 0f;
                    for (int d = 0; d < dim; d++) {
                        dot += near[i * dim + d] * page[d * 64 + thread];
                    }
                    total += w.get(row * heads + h + i) * Math.max(dot, 0f);
                }
            }
            if (p * 64 + thread < seen) {
                scores.set(row * meta.get(4) + p * 64 + thread, total);
            }
        }
    }
}
