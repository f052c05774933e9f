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
 * <p>FP8 becomes f16 when a tile is filled, exactly: the seven bits of exponent and mantissa moved to f16's place are
 * the value times 2^-8. Two of the four bytes of an int are converted at once, the even and the odd ones, so the
 * dimensions come in the order 0, 2, 1, 3; the queries are packed in the same order and a sum does not mind.
 *
 * <p>Keys and scratch begin {@link Decode#LEAD} elements in.
 *
 * <p>A product cannot be read in registers (see {@link MmaMlaKernels}), so every block stores its tile of heads and
 * keys to a scratch area of its own, which stays in the second-level cache, and reads it back for relu and the sum
 * over heads.
 */
public final class MmaScoreKernels {
    /** Index heads. */
    public static final int HEADS = 64;
    /** Width of an index key. */
    public static final int DIM = 128;
    /** Keys of a tile: two pages. */
    public static final int TILE = 128;
    /** Threads of a block. */
    public static final int THREADS = 512;
    /** Bytes of local memory of {@link #kScores}. */
    public static final int LOCAL_BYTES = (8192 + 4096) * Integer.BYTES;

    /** Ints of a row's packed queries. */
    public static final int PACKED_INTS = HEADS * DIM / 2;

    private MmaScoreKernels() {}

    /**
     * Queries of some rows as {@link #kScores} reads them.
     *
     * @param q {@code [.., 64, 128]}
     * @param from first row
     * @param packed {@code [rows][8][8][16][4]} ints: steps of 16 dimensions (of every four in the order 0, 2, 1, 3),
     *     tiles of 8 heads, dimensions, f16 pairs of heads
     */
    public static void pack(float[] q, int from, int rows, IntArray packed) {
        for (int i = 0; i < rows * PACKED_INTS; i++) {
            int head = i / 64 % 8 * 8 + i % 4 * 2;
            int four = i % PACKED_INTS / 512 * 16 + i / 4 % 16 / 4 * 4;
            int place = i / 4 % 4;
            int d = four + (place == 1 ? 2 : place == 2 ? 1 : place);
            int at = ((from + i / PACKED_INTS) * HEADS + head) * DIM + d;
            packed.set(i, Float.floatToFloat16(q[at]) & 0xffff | Float.floatToFloat16(q[at + DIM]) << 16);
        }
    }

    /**
     * Scores of every token that a row sees, as bits of f32. {@code meta[3]} blocks share a row, each with a scratch
     * area.
     *
     * @param meta rows, row stride of the scores, row stride of the page tables, blocks of a row, 0
     * @param visible {@code [rows]}
     * @param tables {@code [rows, stride]}: pages of a row's sequence
     * @param queries as {@link #pack} makes them
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
        int[] left = context.allocateIntLocalArray(8192);
        int[] right = context.allocateIntLocalArray(4096);
        int thread = context.localIdx;
        int lane = thread & 31;
        int warp = thread / 32;
        int group = context.groupIdx;
        int shares = meta.get(3);
        int row = group / shares;
        int seen = visible.get(row);
        int pages = row * meta.get(2);
        float w0 = weights.get(row * 64 + lane) * 256f;
        float w1 = weights.get(row * 64 + 32 + lane) * 256f;
        for (int u = 0; u < 8; u++) {
            right[u * 512 + thread] = queries.get(row * 4096 + u * 512 + thread);
        }
        // a warp reads eight keys of four ints; an int becomes two of the tile
        int leftWarp = (warp / 2) * 512;
        int rightWarp = (warp % 2) * 4 * 256;
        int fillKey = warp * 8 + lane / 4;
        int fillTile = (warp / 2) * 128 + (warp % 2 * 8 + lane / 4) * 8 + lane % 4 * 2;
        int tile = group % shares;
        int last = (seen - 1) / 64;
        int page = tables.get(pages + Math.min(tile * 2 + fillKey / 64, Math.max(last, 0)));
        int from = Decode.LEAD + (page * 64 + fillKey % 64) * 32 + lane % 4;
        int v0 = keys.get(from);
        int v1 = keys.get(from + 4);
        int v2 = keys.get(from + 8);
        int v3 = keys.get(from + 12);
        int v4 = keys.get(from + 16);
        int v5 = keys.get(from + 20);
        int v6 = keys.get(from + 24);
        int v7 = keys.get(from + 28);
        while (tile * 128 < seen) {
            float[] c00 = context.mmaFragment(0f);
            float[] c01 = context.mmaFragment(0f);
            float[] c02 = context.mmaFragment(0f);
            float[] c03 = context.mmaFragment(0f);
            left[fillTile] = Decode.evenHalves(v0);
            left[fillTile + 1] = Decode.oddHalves(v0);
            left[1024 + fillTile] = Decode.evenHalves(v1);
            left[1024 + fillTile + 1] = Decode.oddHalves(v1);
            left[2048 + fillTile] = Decode.evenHalves(v2);
            left[2048 + fillTile + 1] = Decode.oddHalves(v2);
            left[3072 + fillTile] = Decode.evenHalves(v3);
            left[3072 + fillTile + 1] = Decode.oddHalves(v3);
            left[4096 + fillTile] = Decode.evenHalves(v4);
            left[4096 + fillTile + 1] = Decode.oddHalves(v4);
            left[5120 + fillTile] = Decode.evenHalves(v5);
            left[5120 + fillTile + 1] = Decode.oddHalves(v5);
            left[6144 + fillTile] = Decode.evenHalves(v6);
            left[6144 + fillTile + 1] = Decode.oddHalves(v6);
            left[7168 + fillTile] = Decode.evenHalves(v7);
            left[7168 + fillTile + 1] = Decode.oddHalves(v7);
            context.localBarrier();
            // read anew for every tile, or the compiler keeps the addresses of all parts in registers
            int zero = meta.get(4);
            for (int part = zero; part < 8; part++) {
                int leftAt = part * 4096 + leftWarp;
                int rightAt = part * 2048 + rightWarp;
                HalfFloat[] a0 = context.mmaLoadA(left, 16, leftAt);
                HalfFloat[] b0 = context.mmaLoadB(right, 16, rightAt);
                c00 = context.mma(a0, b0, c00, MMAShape.M16N8K16);
                HalfFloat[] b1 = context.mmaLoadB(right, 16, rightAt + 256);
                c01 = context.mma(a0, b1, c01, MMAShape.M16N8K16);
                HalfFloat[] b2 = context.mmaLoadB(right, 16, rightAt + 512);
                c02 = context.mma(a0, b2, c02, MMAShape.M16N8K16);
                HalfFloat[] b3 = context.mmaLoadB(right, 16, rightAt + 768);
                c03 = context.mma(a0, b3, c03, MMAShape.M16N8K16);
            }
            // the next tile's keys are on their way while this tile's scores are stored and read
            int key = warp * 8;
            int scorePage = tables.get(pages + Math.min(tile * 2 + key / 64, last));
            int nextTile = tile + shares;
            page = tables.get(pages + Math.min(nextTile * 2 + fillKey / 64, last));
            from = Decode.LEAD + (page * 64 + fillKey % 64) * 32 + lane % 4;
            v0 = keys.get(from);
            v1 = keys.get(from + 4);
            v2 = keys.get(from + 8);
            v3 = keys.get(from + 12);
            v4 = keys.get(from + 16);
            v5 = keys.get(from + 20);
            v6 = keys.get(from + 24);
            v7 = keys.get(from + 28);
            int storeRow = group * 128 + (warp / 2) * 16;
            int storeColumn = Decode.LEAD + (warp % 2) * 32;
            context.mmaStore(c00, scratch, storeRow, storeColumn, 64);
            context.mmaStore(c01, scratch, storeRow, storeColumn + 8, 64);
            context.mmaStore(c02, scratch, storeRow, storeColumn + 16, 64);
            context.mmaStore(c03, scratch, storeRow, storeColumn + 24, 64);
            context.globalBarrier();
            int at = Decode.LEAD + (group * 128 + key) * 64 + lane;
            float x0 = scratch.get(at);
            float y0 = scratch.get(at + 32);
            float x1 = scratch.get(at + 64);
            float y1 = scratch.get(at + 96);
            float x2 = scratch.get(at + 128);
            float y2 = scratch.get(at + 160);
            float x3 = scratch.get(at + 192);
            float y3 = scratch.get(at + 224);
            float x4 = scratch.get(at + 256);
            float y4 = scratch.get(at + 288);
            float x5 = scratch.get(at + 320);
            float y5 = scratch.get(at + 352);
            float x6 = scratch.get(at + 384);
            float y6 = scratch.get(at + 416);
            float x7 = scratch.get(at + 448);
            float y7 = scratch.get(at + 480);
            float s0 = context.simdSum(TornadoMath.max(x0, 0f) * w0 + TornadoMath.max(y0, 0f) * w1);
            float s1 = context.simdSum(TornadoMath.max(x1, 0f) * w0 + TornadoMath.max(y1, 0f) * w1);
            float s2 = context.simdSum(TornadoMath.max(x2, 0f) * w0 + TornadoMath.max(y2, 0f) * w1);
            float s3 = context.simdSum(TornadoMath.max(x3, 0f) * w0 + TornadoMath.max(y3, 0f) * w1);
            float s4 = context.simdSum(TornadoMath.max(x4, 0f) * w0 + TornadoMath.max(y4, 0f) * w1);
            float s5 = context.simdSum(TornadoMath.max(x5, 0f) * w0 + TornadoMath.max(y5, 0f) * w1);
            float s6 = context.simdSum(TornadoMath.max(x6, 0f) * w0 + TornadoMath.max(y6, 0f) * w1);
            float s7 = context.simdSum(TornadoMath.max(x7, 0f) * w0 + TornadoMath.max(y7, 0f) * w1);
            float s = s0;
            s = lane == 1 ? s1 : s;
            s = lane == 2 ? s2 : s;
            s = lane == 3 ? s3 : s;
            s = lane == 4 ? s4 : s;
            s = lane == 5 ? s5 : s;
            s = lane == 6 ? s6 : s;
            s = lane == 7 ? s7 : s;
            int position = tile * 128 + key + lane;
            if (lane < 8) {
                if (position < seen) {
                    scores.set(row * meta.get(1) + position,
                            Float.floatToRawIntBits(s * scales.get(scorePage * 64 + key % 64 + lane)));
                }
            }
            tile = nextTile;
            context.globalBarrier();
        }
    }
}
