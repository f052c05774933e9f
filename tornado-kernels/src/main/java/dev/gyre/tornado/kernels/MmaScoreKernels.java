package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Index scores on NVIDIA's tensor cores: 64 heads of 128 dimensions, FP8 keys, f16 queries, sums in f32.
 *
 * <p>FP8 becomes f16 when a tile is filled, exactly: the seven bits of exponent and mantissa moved to f16's place are the
 * value times 2^-8. Two of the four bytes of an int are converted at once, the even and the odd ones, so the dimensions
 * come in the order 0, 2, 1, 3; the queries are packed in the same order and a sum does not mind.
 *
 * <p>A product cannot be read in registers (see {@link MmaMlaKernels}), so every block stores its tile of heads and keys to
 * a scratch area of its own, which stays in the second-level cache, and reads it back for relu and the sum over heads.
 */
public final class MmaScoreKernels {
    /** Index heads. */
    public static final int HEADS = 64;
    /** Width of an index key. */
    public static final int DIM = 128;
    /** Keys of a tile: two pages. */
    public static final int TILE = 128;
    /** Threads of a block. */
    public static final int THREADS = 256;
    /** Bytes of local memory of {@link #kScores}. */
    public static final int LOCAL_BYTES = (4096 + 4096) * Integer.BYTES;

    private MmaScoreKernels() {}

    /**
     * Scores of every token that a row sees, as bits of f32. {@code meta[3]} blocks share a row, each with a scratch area.
     *
     * @param meta rows, row stride of the scores, row stride of the page tables, blocks of a row
     * @param visible {@code [rows]}
     * @param tables {@code [rows, stride]}: pages of a row's sequence
     * @param queries {@code [rows][8][8][16][4]} ints: f16 pairs of heads, steps of 16 dimensions in the order above
     * @param weights {@code [rows, 64]}
     * @param keys {@code [pages, 64, 32]}: four FP8 codes an int
     * @param scales {@code [pages, 64]}
     * @param scratch {@code [blocks, 128, 64]}
     * @param scores {@code [rows, stride]}
     */
    public static void kScores(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray tables,
            IntArray queries,
            FloatArray weights,
            IntArray keys,
            FloatArray scales,
            FloatArray scratch,
            IntArray scores) {
        int[] left = context.allocateIntLocalArray(4096);
        int[] right = context.allocateIntLocalArray(4096);
        int thread = context.localIdx;
        int lane = thread & 31;
        int warp = thread / 32;
        int group = context.groupIdx;
        int shares = meta.get(3);
        int row = group / shares;
        int seen = visible.get(row);
        float w0 = weights.get(row * 64 + lane) * 256f;
        float w1 = weights.get(row * 64 + 32 + lane) * 256f;
        for (int u = 0; u < 16; u++) {
            right[u * 256 + thread] = queries.get(row * 4096 + u * 256 + thread);
        }
        int leftWarp = (warp / 2) * 2 * 512;
        int rightWarp = (warp % 2) * 4 * 256;
        int fillTile = (warp / 2) * 128 + (warp % 2 * 8 + lane / 4) * 8 + lane % 4 * 2;
        for (int tile = group % shares; tile * 128 < seen; tile += shares) {
            int page0 = tables.get(row * meta.get(2) + tile * 2);
            int page1 = tile * 128 + 64 < seen ? tables.get(row * meta.get(2) + tile * 2 + 1) : page0;
            float[] c00 = context.mmaFragment(0f);
            float[] c01 = context.mmaFragment(0f);
            float[] c02 = context.mmaFragment(0f);
            float[] c03 = context.mmaFragment(0f);
            float[] c10 = context.mmaFragment(0f);
            float[] c11 = context.mmaFragment(0f);
            float[] c12 = context.mmaFragment(0f);
            float[] c13 = context.mmaFragment(0f);
            for (int half = 0; half < 2; half++) {
                // a warp reads eight keys of four ints; an int becomes two of the tile
                int from0 = (page0 * 64 + warp * 8 + lane / 4) * 32 + half * 16 + lane % 4;
                int from1 = (page1 * 64 + warp * 8 + lane / 4) * 32 + half * 16 + lane % 4;
                int v0 = keys.get(from0 + 0);
                int v1 = keys.get(from0 + 4);
                int v2 = keys.get(from0 + 8);
                int v3 = keys.get(from0 + 12);
                int v4 = keys.get(from1 + 0);
                int v5 = keys.get(from1 + 4);
                int v6 = keys.get(from1 + 8);
                int v7 = keys.get(from1 + 12);
                left[0 + fillTile] = Decode.evenHalves(v0);
                left[0 + fillTile + 1] = Decode.oddHalves(v0);
                left[1024 + fillTile] = Decode.evenHalves(v1);
                left[1024 + fillTile + 1] = Decode.oddHalves(v1);
                left[2048 + fillTile] = Decode.evenHalves(v2);
                left[2048 + fillTile + 1] = Decode.oddHalves(v2);
                left[3072 + fillTile] = Decode.evenHalves(v3);
                left[3072 + fillTile + 1] = Decode.oddHalves(v3);
                left[512 + fillTile] = Decode.evenHalves(v4);
                left[512 + fillTile + 1] = Decode.oddHalves(v4);
                left[1536 + fillTile] = Decode.evenHalves(v5);
                left[1536 + fillTile + 1] = Decode.oddHalves(v5);
                left[2560 + fillTile] = Decode.evenHalves(v6);
                left[2560 + fillTile + 1] = Decode.oddHalves(v6);
                left[3584 + fillTile] = Decode.evenHalves(v7);
                left[3584 + fillTile + 1] = Decode.oddHalves(v7);
                context.localBarrier();
                for (int part = 0; part < 4; part++) {
                    int leftAt = part * 4096 + leftWarp;
                    int rightAt = half * 8192 + part * 2048 + rightWarp;
                    HalfFloat[] a0 = context.mmaLoadA(left, 16, leftAt + 0);
                    HalfFloat[] a1 = context.mmaLoadA(left, 16, leftAt + 512);
                    HalfFloat[] b0 = context.mmaLoadB(right, 16, rightAt + 0);
                    c00 = context.mma(a0, b0, c00, MMAShape.M16N8K16);
                    c10 = context.mma(a1, b0, c10, MMAShape.M16N8K16);
                    HalfFloat[] b1 = context.mmaLoadB(right, 16, rightAt + 256);
                    c01 = context.mma(a0, b1, c01, MMAShape.M16N8K16);
                    c11 = context.mma(a1, b1, c11, MMAShape.M16N8K16);
                    HalfFloat[] b2 = context.mmaLoadB(right, 16, rightAt + 512);
                    c02 = context.mma(a0, b2, c02, MMAShape.M16N8K16);
                    c12 = context.mma(a1, b2, c12, MMAShape.M16N8K16);
                    HalfFloat[] b3 = context.mmaLoadB(right, 16, rightAt + 768);
                    c03 = context.mma(a0, b3, c03, MMAShape.M16N8K16);
                    c13 = context.mma(a1, b3, c13, MMAShape.M16N8K16);
                }
                context.localBarrier();
            }
            int storeRow = group * 128 + (warp / 2) * 32;
            int storeColumn = (warp % 2) * 32;
            context.mmaStore(c00, scratch, storeRow + 0, storeColumn + 0, 64);
            context.mmaStore(c01, scratch, storeRow + 0, storeColumn + 8, 64);
            context.mmaStore(c02, scratch, storeRow + 0, storeColumn + 16, 64);
            context.mmaStore(c03, scratch, storeRow + 0, storeColumn + 24, 64);
            context.mmaStore(c10, scratch, storeRow + 16, storeColumn + 0, 64);
            context.mmaStore(c11, scratch, storeRow + 16, storeColumn + 8, 64);
            context.mmaStore(c12, scratch, storeRow + 16, storeColumn + 16, 64);
            context.mmaStore(c13, scratch, storeRow + 16, storeColumn + 24, 64);
            context.globalBarrier();
            for (int i = 0; i < 16; i += 4) {
                int key = warp * 16 + i;
                int at = (group * 128 + key) * 64 + lane;
                float x0 = scratch.get(at + 0);
                float y0 = scratch.get(at + 32);
                float x1 = scratch.get(at + 64);
                float y1 = scratch.get(at + 96);
                float x2 = scratch.get(at + 128);
                float y2 = scratch.get(at + 160);
                float x3 = scratch.get(at + 192);
                float y3 = scratch.get(at + 224);
                float sum0 = context.simdSum(TornadoMath.max(x0, 0f) * w0 + TornadoMath.max(y0, 0f) * w1);
                float sum1 = context.simdSum(TornadoMath.max(x1, 0f) * w0 + TornadoMath.max(y1, 0f) * w1);
                float sum2 = context.simdSum(TornadoMath.max(x2, 0f) * w0 + TornadoMath.max(y2, 0f) * w1);
                float sum3 = context.simdSum(TornadoMath.max(x3, 0f) * w0 + TornadoMath.max(y3, 0f) * w1);
                float low = (lane & 1) == 0 ? sum0 : sum1;
                float high = (lane & 1) == 0 ? sum2 : sum3;
                float sum = lane < 2 ? low : high;
                int mine = key + lane;
                int position = tile * 128 + mine;
                if (lane < 4) {
                    if (position < seen) {
                        int page = mine < 64 ? page0 : page1;
                        scores.set(row * meta.get(1) + position,
                                Float.floatToRawIntBits(sum * scales.get(page * 64 + mine % 64)));
                    }
                }
            }
            context.globalBarrier();
        }
    }
}
