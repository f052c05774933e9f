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
 * <p>A block is two warps. Each keeps the queries of 32 heads in registers, as the right side of its products, while
 * both walk over tiles of 64 keys, one page, that they decode together. A warp's products stay in registers too
 * ({@link ProductValues}): relu, the heads' weights, the sum over its heads.
 *
 * <p>FP8 becomes f16 when a tile is filled, exactly: the seven bits of exponent and mantissa moved to f16's place are
 * the value times 2^-8. Two of the four bytes of an int are converted at once, the even and the odd ones, so the
 * dimensions come in the order 0, 2, 1, 3; the queries are packed in the same order and a sum does not mind.
 *
 * <p>Keys begin {@link Decode#LEAD} elements in. In the tile, the i-th chunk of 16 bytes of a key lies at
 * i ^ (key % 8), so that what eight lanes read or write at once is in different banks. {@code mmaLoadA} adds the address that a lane
 * would have in a tile without gaps and takes an offset from each lane, which is how this order is read.
 */
public final class MmaScoreKernels {
    /** Index heads. */
    public static final int HEADS = 64;
    /** Width of an index key. */
    public static final int DIM = 128;
    /** Keys of a tile: a page. */
    public static final int TILE = 64;
    /** Threads of a block. */
    public static final int THREADS = 64;
    /** Bytes of local memory of {@link #kScores}. */
    public static final int LOCAL_BYTES = (TILE * DIM / 2 + 2 * TILE) * Integer.BYTES;

    /** Ints of a row's packed queries. */
    public static final int PACKED_INTS = HEADS * DIM / 2;

    /** Blocks in flight on the largest GPUs: 132 multiprocessors, six each. */
    private static final int BLOCKS = 792;
    /** Keys that a warp decodes. */
    private static final int MINE = 32;

    private MmaScoreKernels() {}

    /** How many blocks share a row, where there are {@code rows} of up to {@code most} tokens. */
    public static int shares(int rows, int most) {
        return Math.clamp(most / TILE, 1, Math.max(1, BLOCKS / rows));
    }

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
     * Scores of every token that a row sees, as bits of f32. {@code meta[3]} blocks share a row, a page each in turn.
     *
     * @param meta rows, row stride of the scores, row stride of the page tables, blocks of a row
     * @param visible {@code [rows]}
     * @param tables {@code [rows, stride]}: pages of a row's sequence
     * @param queries as {@link #pack} makes them
     * @param weights {@code [rows, 64]}
     * @param keys {@code [pages, 64, 32]}: four FP8 codes an int
     * @param scales {@code [pages, 64]}
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
            IntArray scores) {
        int[] tile = context.allocateIntLocalArray(4096);
        float[] sums = context.allocateFloatLocalArray(128);
        int thread = context.localIdx;
        int lane = thread & 31;
        int warp = thread / 32;
        int shares = meta.get(3);
        int asked = context.groupIdx / shares;
        int row = Math.min(asked, Math.max(meta.get(0) - 1, 0));
        int seen = asked < meta.get(0) ? visible.get(row) : 0;
        int table = row * meta.get(2);
        for (int u = 0; u < 64; u++) {
            tile[u * 64 + thread] = queries.get(row * 4096 + u * 64 + thread);
        }
        context.localBarrier();
        // the queries of a warp's 32 heads: b with step and tile of 8 heads
        int heads = warp * 1024;
        HalfFloat[] b00 = context.mmaLoadB(tile, 16, heads + 0);
        HalfFloat[] b01 = context.mmaLoadB(tile, 16, heads + 256);
        HalfFloat[] b02 = context.mmaLoadB(tile, 16, heads + 512);
        HalfFloat[] b03 = context.mmaLoadB(tile, 16, heads + 768);
        HalfFloat[] b10 = context.mmaLoadB(tile, 16, heads + 2048);
        HalfFloat[] b11 = context.mmaLoadB(tile, 16, heads + 2304);
        HalfFloat[] b12 = context.mmaLoadB(tile, 16, heads + 2560);
        HalfFloat[] b13 = context.mmaLoadB(tile, 16, heads + 2816);
        HalfFloat[] b20 = context.mmaLoadB(tile, 16, heads + 4096);
        HalfFloat[] b21 = context.mmaLoadB(tile, 16, heads + 4352);
        HalfFloat[] b22 = context.mmaLoadB(tile, 16, heads + 4608);
        HalfFloat[] b23 = context.mmaLoadB(tile, 16, heads + 4864);
        HalfFloat[] b30 = context.mmaLoadB(tile, 16, heads + 6144);
        HalfFloat[] b31 = context.mmaLoadB(tile, 16, heads + 6400);
        HalfFloat[] b32 = context.mmaLoadB(tile, 16, heads + 6656);
        HalfFloat[] b33 = context.mmaLoadB(tile, 16, heads + 6912);
        HalfFloat[] b40 = context.mmaLoadB(tile, 16, heads + 8192);
        HalfFloat[] b41 = context.mmaLoadB(tile, 16, heads + 8448);
        HalfFloat[] b42 = context.mmaLoadB(tile, 16, heads + 8704);
        HalfFloat[] b43 = context.mmaLoadB(tile, 16, heads + 8960);
        HalfFloat[] b50 = context.mmaLoadB(tile, 16, heads + 10240);
        HalfFloat[] b51 = context.mmaLoadB(tile, 16, heads + 10496);
        HalfFloat[] b52 = context.mmaLoadB(tile, 16, heads + 10752);
        HalfFloat[] b53 = context.mmaLoadB(tile, 16, heads + 11008);
        HalfFloat[] b60 = context.mmaLoadB(tile, 16, heads + 12288);
        HalfFloat[] b61 = context.mmaLoadB(tile, 16, heads + 12544);
        HalfFloat[] b62 = context.mmaLoadB(tile, 16, heads + 12800);
        HalfFloat[] b63 = context.mmaLoadB(tile, 16, heads + 13056);
        HalfFloat[] b70 = context.mmaLoadB(tile, 16, heads + 14336);
        HalfFloat[] b71 = context.mmaLoadB(tile, 16, heads + 14592);
        HalfFloat[] b72 = context.mmaLoadB(tile, 16, heads + 14848);
        HalfFloat[] b73 = context.mmaLoadB(tile, 16, heads + 15104);
        context.localBarrier();
        int columns = row * 64 + warp * 32 + lane % 4 * 2;
        ProductValues values = new ProductValues();
        float[] left = new float[4];
        float[] right = new float[4];
        for (int n = 0; n < 4; n++) {
            left[n] = weights.get(columns + 8 * n) * 256f;
            right[n] = weights.get(columns + 8 * n + 1) * 256f;
        }
        // where this lane's row of a left tile lies, less what mmaLoadA adds for the lane
        int leftRow = lane & 15;
        int leftHalf = lane / 16;
        int leftAt = leftRow * 256 - leftRow * 32 - leftHalf * 16;
        int flip = leftRow & 7;
        int[] steps = new int[8];
        for (int k = 0; k < 8; k++) {
            steps[k] = leftAt + ((2 * k + leftHalf) ^ flip) * 16;
        }
        // a warp reads a key at a time; a lane's int becomes two of the tile
        int mine = warp * MINE;
        int[] places = new int[8];
        for (int u = 0; u < 8; u++) {
            places[u] = mine * 64 + ((lane / 2) ^ u) * 4 + lane % 2 * 2;
        }
        int lastPage = Math.max((seen - 1) / 64, 0);
        int index = context.groupIdx % shares;
        int page = tables.get(table + Math.min(index, lastPage));
        int nextPage = tables.get(table + Math.min(index + shares, lastPage));
        int[] codes = new int[32];
        int from = Decode.LEAD + (page * 64 + mine) * 32 + lane;
        for (int u = 0; u < MINE; u++) {
            codes[u] = keys.get(from + u * 32);
        }
        while (index * 64 < seen) {
            float[] c00 = context.mmaFragment(0f);
            float[] c01 = context.mmaFragment(0f);
            float[] c02 = context.mmaFragment(0f);
            float[] c03 = context.mmaFragment(0f);
            float[] c10 = context.mmaFragment(0f);
            float[] c11 = context.mmaFragment(0f);
            float[] c12 = context.mmaFragment(0f);
            float[] c13 = context.mmaFragment(0f);
            float[] c20 = context.mmaFragment(0f);
            float[] c21 = context.mmaFragment(0f);
            float[] c22 = context.mmaFragment(0f);
            float[] c23 = context.mmaFragment(0f);
            float[] c30 = context.mmaFragment(0f);
            float[] c31 = context.mmaFragment(0f);
            float[] c32 = context.mmaFragment(0f);
            float[] c33 = context.mmaFragment(0f);
            for (int u = 0; u < MINE; u++) {
                tile[places[u & 7] + u * 64] = Decode.evenHalves(codes[u]);
                tile[places[u & 7] + u * 64 + 1] = Decode.oddHalves(codes[u]);
            }
            context.localBarrier();
            // what the next page needs is on its way while this page's products are made
            int position = index * 64 + thread;
            float scale = scales.get(page * 64 + thread);
            index += shares;
            page = nextPage;
            nextPage = tables.get(table + Math.min(index + shares, lastPage));
            from = Decode.LEAD + (page * 64 + mine) * 32 + lane;
            for (int u = 0; u < MINE; u++) {
                codes[u] = keys.get(from + u * 32);
            }
            HalfFloat[] a00 = context.mmaLoadA(tile, 16, steps[0]);
            HalfFloat[] a01 = context.mmaLoadA(tile, 16, steps[0] + 4096);
            HalfFloat[] a02 = context.mmaLoadA(tile, 16, steps[0] + 8192);
            HalfFloat[] a03 = context.mmaLoadA(tile, 16, steps[0] + 12288);
            c00 = context.mma(a00, b00, c00, MMAShape.M16N8K16);
            c10 = context.mma(a01, b00, c10, MMAShape.M16N8K16);
            c20 = context.mma(a02, b00, c20, MMAShape.M16N8K16);
            c30 = context.mma(a03, b00, c30, MMAShape.M16N8K16);
            c01 = context.mma(a00, b01, c01, MMAShape.M16N8K16);
            c11 = context.mma(a01, b01, c11, MMAShape.M16N8K16);
            c21 = context.mma(a02, b01, c21, MMAShape.M16N8K16);
            c31 = context.mma(a03, b01, c31, MMAShape.M16N8K16);
            c02 = context.mma(a00, b02, c02, MMAShape.M16N8K16);
            c12 = context.mma(a01, b02, c12, MMAShape.M16N8K16);
            c22 = context.mma(a02, b02, c22, MMAShape.M16N8K16);
            c32 = context.mma(a03, b02, c32, MMAShape.M16N8K16);
            c03 = context.mma(a00, b03, c03, MMAShape.M16N8K16);
            c13 = context.mma(a01, b03, c13, MMAShape.M16N8K16);
            c23 = context.mma(a02, b03, c23, MMAShape.M16N8K16);
            c33 = context.mma(a03, b03, c33, MMAShape.M16N8K16);
            HalfFloat[] a10 = context.mmaLoadA(tile, 16, steps[1]);
            HalfFloat[] a11 = context.mmaLoadA(tile, 16, steps[1] + 4096);
            HalfFloat[] a12 = context.mmaLoadA(tile, 16, steps[1] + 8192);
            HalfFloat[] a13 = context.mmaLoadA(tile, 16, steps[1] + 12288);
            c00 = context.mma(a10, b10, c00, MMAShape.M16N8K16);
            c10 = context.mma(a11, b10, c10, MMAShape.M16N8K16);
            c20 = context.mma(a12, b10, c20, MMAShape.M16N8K16);
            c30 = context.mma(a13, b10, c30, MMAShape.M16N8K16);
            c01 = context.mma(a10, b11, c01, MMAShape.M16N8K16);
            c11 = context.mma(a11, b11, c11, MMAShape.M16N8K16);
            c21 = context.mma(a12, b11, c21, MMAShape.M16N8K16);
            c31 = context.mma(a13, b11, c31, MMAShape.M16N8K16);
            c02 = context.mma(a10, b12, c02, MMAShape.M16N8K16);
            c12 = context.mma(a11, b12, c12, MMAShape.M16N8K16);
            c22 = context.mma(a12, b12, c22, MMAShape.M16N8K16);
            c32 = context.mma(a13, b12, c32, MMAShape.M16N8K16);
            c03 = context.mma(a10, b13, c03, MMAShape.M16N8K16);
            c13 = context.mma(a11, b13, c13, MMAShape.M16N8K16);
            c23 = context.mma(a12, b13, c23, MMAShape.M16N8K16);
            c33 = context.mma(a13, b13, c33, MMAShape.M16N8K16);
            HalfFloat[] a20 = context.mmaLoadA(tile, 16, steps[2]);
            HalfFloat[] a21 = context.mmaLoadA(tile, 16, steps[2] + 4096);
            HalfFloat[] a22 = context.mmaLoadA(tile, 16, steps[2] + 8192);
            HalfFloat[] a23 = context.mmaLoadA(tile, 16, steps[2] + 12288);
            c00 = context.mma(a20, b20, c00, MMAShape.M16N8K16);
            c10 = context.mma(a21, b20, c10, MMAShape.M16N8K16);
            c20 = context.mma(a22, b20, c20, MMAShape.M16N8K16);
            c30 = context.mma(a23, b20, c30, MMAShape.M16N8K16);
            c01 = context.mma(a20, b21, c01, MMAShape.M16N8K16);
            c11 = context.mma(a21, b21, c11, MMAShape.M16N8K16);
            c21 = context.mma(a22, b21, c21, MMAShape.M16N8K16);
            c31 = context.mma(a23, b21, c31, MMAShape.M16N8K16);
            c02 = context.mma(a20, b22, c02, MMAShape.M16N8K16);
            c12 = context.mma(a21, b22, c12, MMAShape.M16N8K16);
            c22 = context.mma(a22, b22, c22, MMAShape.M16N8K16);
            c32 = context.mma(a23, b22, c32, MMAShape.M16N8K16);
            c03 = context.mma(a20, b23, c03, MMAShape.M16N8K16);
            c13 = context.mma(a21, b23, c13, MMAShape.M16N8K16);
            c23 = context.mma(a22, b23, c23, MMAShape.M16N8K16);
            c33 = context.mma(a23, b23, c33, MMAShape.M16N8K16);
            HalfFloat[] a30 = context.mmaLoadA(tile, 16, steps[3]);
            HalfFloat[] a31 = context.mmaLoadA(tile, 16, steps[3] + 4096);
            HalfFloat[] a32 = context.mmaLoadA(tile, 16, steps[3] + 8192);
            HalfFloat[] a33 = context.mmaLoadA(tile, 16, steps[3] + 12288);
            c00 = context.mma(a30, b30, c00, MMAShape.M16N8K16);
            c10 = context.mma(a31, b30, c10, MMAShape.M16N8K16);
            c20 = context.mma(a32, b30, c20, MMAShape.M16N8K16);
            c30 = context.mma(a33, b30, c30, MMAShape.M16N8K16);
            c01 = context.mma(a30, b31, c01, MMAShape.M16N8K16);
            c11 = context.mma(a31, b31, c11, MMAShape.M16N8K16);
            c21 = context.mma(a32, b31, c21, MMAShape.M16N8K16);
            c31 = context.mma(a33, b31, c31, MMAShape.M16N8K16);
            c02 = context.mma(a30, b32, c02, MMAShape.M16N8K16);
            c12 = context.mma(a31, b32, c12, MMAShape.M16N8K16);
            c22 = context.mma(a32, b32, c22, MMAShape.M16N8K16);
            c32 = context.mma(a33, b32, c32, MMAShape.M16N8K16);
            c03 = context.mma(a30, b33, c03, MMAShape.M16N8K16);
            c13 = context.mma(a31, b33, c13, MMAShape.M16N8K16);
            c23 = context.mma(a32, b33, c23, MMAShape.M16N8K16);
            c33 = context.mma(a33, b33, c33, MMAShape.M16N8K16);
            HalfFloat[] a40 = context.mmaLoadA(tile, 16, steps[4]);
            HalfFloat[] a41 = context.mmaLoadA(tile, 16, steps[4] + 4096);
            HalfFloat[] a42 = context.mmaLoadA(tile, 16, steps[4] + 8192);
            HalfFloat[] a43 = context.mmaLoadA(tile, 16, steps[4] + 12288);
            c00 = context.mma(a40, b40, c00, MMAShape.M16N8K16);
            c10 = context.mma(a41, b40, c10, MMAShape.M16N8K16);
            c20 = context.mma(a42, b40, c20, MMAShape.M16N8K16);
            c30 = context.mma(a43, b40, c30, MMAShape.M16N8K16);
            c01 = context.mma(a40, b41, c01, MMAShape.M16N8K16);
            c11 = context.mma(a41, b41, c11, MMAShape.M16N8K16);
            c21 = context.mma(a42, b41, c21, MMAShape.M16N8K16);
            c31 = context.mma(a43, b41, c31, MMAShape.M16N8K16);
            c02 = context.mma(a40, b42, c02, MMAShape.M16N8K16);
            c12 = context.mma(a41, b42, c12, MMAShape.M16N8K16);
            c22 = context.mma(a42, b42, c22, MMAShape.M16N8K16);
            c32 = context.mma(a43, b42, c32, MMAShape.M16N8K16);
            c03 = context.mma(a40, b43, c03, MMAShape.M16N8K16);
            c13 = context.mma(a41, b43, c13, MMAShape.M16N8K16);
            c23 = context.mma(a42, b43, c23, MMAShape.M16N8K16);
            c33 = context.mma(a43, b43, c33, MMAShape.M16N8K16);
            HalfFloat[] a50 = context.mmaLoadA(tile, 16, steps[5]);
            HalfFloat[] a51 = context.mmaLoadA(tile, 16, steps[5] + 4096);
            HalfFloat[] a52 = context.mmaLoadA(tile, 16, steps[5] + 8192);
            HalfFloat[] a53 = context.mmaLoadA(tile, 16, steps[5] + 12288);
            c00 = context.mma(a50, b50, c00, MMAShape.M16N8K16);
            c10 = context.mma(a51, b50, c10, MMAShape.M16N8K16);
            c20 = context.mma(a52, b50, c20, MMAShape.M16N8K16);
            c30 = context.mma(a53, b50, c30, MMAShape.M16N8K16);
            c01 = context.mma(a50, b51, c01, MMAShape.M16N8K16);
            c11 = context.mma(a51, b51, c11, MMAShape.M16N8K16);
            c21 = context.mma(a52, b51, c21, MMAShape.M16N8K16);
            c31 = context.mma(a53, b51, c31, MMAShape.M16N8K16);
            c02 = context.mma(a50, b52, c02, MMAShape.M16N8K16);
            c12 = context.mma(a51, b52, c12, MMAShape.M16N8K16);
            c22 = context.mma(a52, b52, c22, MMAShape.M16N8K16);
            c32 = context.mma(a53, b52, c32, MMAShape.M16N8K16);
            c03 = context.mma(a50, b53, c03, MMAShape.M16N8K16);
            c13 = context.mma(a51, b53, c13, MMAShape.M16N8K16);
            c23 = context.mma(a52, b53, c23, MMAShape.M16N8K16);
            c33 = context.mma(a53, b53, c33, MMAShape.M16N8K16);
            HalfFloat[] a60 = context.mmaLoadA(tile, 16, steps[6]);
            HalfFloat[] a61 = context.mmaLoadA(tile, 16, steps[6] + 4096);
            HalfFloat[] a62 = context.mmaLoadA(tile, 16, steps[6] + 8192);
            HalfFloat[] a63 = context.mmaLoadA(tile, 16, steps[6] + 12288);
            c00 = context.mma(a60, b60, c00, MMAShape.M16N8K16);
            c10 = context.mma(a61, b60, c10, MMAShape.M16N8K16);
            c20 = context.mma(a62, b60, c20, MMAShape.M16N8K16);
            c30 = context.mma(a63, b60, c30, MMAShape.M16N8K16);
            c01 = context.mma(a60, b61, c01, MMAShape.M16N8K16);
            c11 = context.mma(a61, b61, c11, MMAShape.M16N8K16);
            c21 = context.mma(a62, b61, c21, MMAShape.M16N8K16);
            c31 = context.mma(a63, b61, c31, MMAShape.M16N8K16);
            c02 = context.mma(a60, b62, c02, MMAShape.M16N8K16);
            c12 = context.mma(a61, b62, c12, MMAShape.M16N8K16);
            c22 = context.mma(a62, b62, c22, MMAShape.M16N8K16);
            c32 = context.mma(a63, b62, c32, MMAShape.M16N8K16);
            c03 = context.mma(a60, b63, c03, MMAShape.M16N8K16);
            c13 = context.mma(a61, b63, c13, MMAShape.M16N8K16);
            c23 = context.mma(a62, b63, c23, MMAShape.M16N8K16);
            c33 = context.mma(a63, b63, c33, MMAShape.M16N8K16);
            HalfFloat[] a70 = context.mmaLoadA(tile, 16, steps[7]);
            HalfFloat[] a71 = context.mmaLoadA(tile, 16, steps[7] + 4096);
            HalfFloat[] a72 = context.mmaLoadA(tile, 16, steps[7] + 8192);
            HalfFloat[] a73 = context.mmaLoadA(tile, 16, steps[7] + 12288);
            c00 = context.mma(a70, b70, c00, MMAShape.M16N8K16);
            c10 = context.mma(a71, b70, c10, MMAShape.M16N8K16);
            c20 = context.mma(a72, b70, c20, MMAShape.M16N8K16);
            c30 = context.mma(a73, b70, c30, MMAShape.M16N8K16);
            c01 = context.mma(a70, b71, c01, MMAShape.M16N8K16);
            c11 = context.mma(a71, b71, c11, MMAShape.M16N8K16);
            c21 = context.mma(a72, b71, c21, MMAShape.M16N8K16);
            c31 = context.mma(a73, b71, c31, MMAShape.M16N8K16);
            c02 = context.mma(a70, b72, c02, MMAShape.M16N8K16);
            c12 = context.mma(a71, b72, c12, MMAShape.M16N8K16);
            c22 = context.mma(a72, b72, c22, MMAShape.M16N8K16);
            c32 = context.mma(a73, b72, c32, MMAShape.M16N8K16);
            c03 = context.mma(a70, b73, c03, MMAShape.M16N8K16);
            c13 = context.mma(a71, b73, c13, MMAShape.M16N8K16);
            c23 = context.mma(a72, b73, c23, MMAShape.M16N8K16);
            c33 = context.mma(a73, b73, c33, MMAShape.M16N8K16);
            KeySums keys0 = new KeySums(values);
            keys0.add(context, c00, left[0], right[0]);
            keys0.add(context, c01, left[1], right[1]);
            keys0.add(context, c02, left[2], right[2]);
            keys0.add(context, c03, left[3], right[3]);
            float sum0 = ofFourLanes(context, keys0.upper);
            float sum1 = ofFourLanes(context, keys0.lower);
            KeySums keys1 = new KeySums(values);
            keys1.add(context, c10, left[0], right[0]);
            keys1.add(context, c11, left[1], right[1]);
            keys1.add(context, c12, left[2], right[2]);
            keys1.add(context, c13, left[3], right[3]);
            float sum2 = ofFourLanes(context, keys1.upper);
            float sum3 = ofFourLanes(context, keys1.lower);
            KeySums keys2 = new KeySums(values);
            keys2.add(context, c20, left[0], right[0]);
            keys2.add(context, c21, left[1], right[1]);
            keys2.add(context, c22, left[2], right[2]);
            keys2.add(context, c23, left[3], right[3]);
            float sum4 = ofFourLanes(context, keys2.upper);
            float sum5 = ofFourLanes(context, keys2.lower);
            KeySums keys3 = new KeySums(values);
            keys3.add(context, c30, left[0], right[0]);
            keys3.add(context, c31, left[1], right[1]);
            keys3.add(context, c32, left[2], right[2]);
            keys3.add(context, c33, left[3], right[3]);
            float sum6 = ofFourLanes(context, keys3.upper);
            float sum7 = ofFourLanes(context, keys3.lower);
            if (lane % 4 == 0) {
                int to = warp * 64 + lane / 4;
                sums[to] = sum0;
                sums[to + 8] = sum1;
                sums[to + 16] = sum2;
                sums[to + 24] = sum3;
                sums[to + 32] = sum4;
                sums[to + 40] = sum5;
                sums[to + 48] = sum6;
                sums[to + 56] = sum7;
            }
            context.localBarrier();
            if (position < seen) {
                scores.set(row * meta.get(1) + position,
                        Float.floatToRawIntBits((sums[thread] + sums[64 + thread]) * scale));
            }
        }
    }

    /** Scores of two keys by the heads that a lane has products of: {@code sum of w relu(q . k)}. */
    private static final class KeySums {
        private final ProductValues values;
        private float upper;
        private float lower;

        KeySums(ProductValues values) {
            this.values = values;
        }

        void add(KernelContext context, float[] product, float left, float right) {
            values.read(context, product);
            upper += TornadoMath.max(values.upperLeft(), 0f) * left + TornadoMath.max(values.upperRight(), 0f) * right;
            lower += TornadoMath.max(values.lowerLeft(), 0f) * left + TornadoMath.max(values.lowerRight(), 0f) * right;
        }
    }

    /** The sum of what four neighbours have, in the first of them. */
    private static float ofFourLanes(KernelContext context, float part) {
        float half = part + context.simdShuffleDown(part, 2);
        return half + context.simdShuffleDown(half, 1);
    }
}
