package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.BFloat16;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Sparse absorbed MLA on NVIDIA's tensor cores: 128 heads, latents of 512 and rotary keys of 64 in bf16.
 *
 * <p>TornadoVM 5.2 can store a product to global memory but not read it in registers, so the softmax cannot run within a
 * kernel as FlashAttention's does. Four kernels instead: scores and their maxima, weights, weighted sums, division. The
 * first and the third are products of tiles of 128 x 128 over steps of 64, by eight warps of 4 x 4 fragments each.
 *
 * <p>Tiles in local memory are what {@code ldmatrix} reads: on the left 16 rows of 16 values (8 ints a row), on the right
 * 16 values of 8 columns (4 ints a value). Queries and weights lie so in global memory too, and are copied as they are.
 */
public final class MmaMlaKernels {
    /** Attention heads. */
    public static final int HEADS = 128;
    /** Width of the compressed latent. */
    public static final int LATENT = 512;
    /** Width of the rotary key. */
    public static final int ROPE = 64;
    /** Width of a cached row. */
    public static final int WIDTH = LATENT + ROPE;
    /** Tokens of a tile; selections are padded to a multiple. */
    public static final int TILE = 128;
    /** Threads of a block. */
    public static final int THREADS = 256;
    /** Bytes of local memory of the two products. */
    public static final int PRODUCT_BYTES = (4096 + 4096 + TILE) * Integer.BYTES;
    /** Bytes of local memory of {@link #kWeights}. */
    public static final int WEIGHTS_BYTES = (1024 + TILE) * Integer.BYTES;

    private MmaMlaKernels() {}

    /**
     * Queries in the order of {@link #kScores}' right tiles: for each row {@code [9][4][16][16][4]} ints: steps of 64
     * dimensions, of 16, tiles of 8 heads, dimensions, pairs of heads.
     *
     * @param q {@code [rows, 128, 576]}
     */
    public static void kPackQueries(KernelContext context, IntArray meta, FloatArray q, IntArray packed) {
        int i = context.globalIdx;
        if (i < meta.get(0) * 36864) {
            int head = (i / 64) % 16 * 8 + i % 4 * 2;
            int d = (i % 36864) / 1024 * 16 + i / 4 % 16;
            int at = (i / 36864 * 128 + head) * 576 + d;
            int low = BFloat16.bf16FromFloat(q.get(at)) & 0xffff;
            int high = BFloat16.bf16FromFloat(q.get(at + 576)) & 0xffff;
            packed.set(i, low | (high << 16));
        }
    }

    /**
     * {@code scores[r, t, h] = q[r, h] . c[slots[r, t]]}, not yet scaled, and the largest of each tile of 128 tokens. One
     * block a row and tile. What no valid slot is counts as a row of zeros here and is left out of the maximum.
     *
     * @param meta rows, k (a multiple of 128), slots of the cache
     * @param slots {@code [rows, k]}
     * @param queries as {@link #kPackQueries} made them
     * @param latents {@code [slots, 288]}: pairs of bf16
     * @param scores {@code [rows, k, 128]}
     * @param highest {@code [rows, k / 128, 128]}
     */
    public static void kScores(
            KernelContext context,
            IntArray meta,
            IntArray slots,
            IntArray queries,
            IntArray latents,
            FloatArray scores,
            FloatArray highest) {
        int[] left = context.allocateIntLocalArray(4096);
        int[] right = context.allocateIntLocalArray(4096);
        int[] tokens = context.allocateIntLocalArray(128);
        int thread = context.localIdx;
        int lane = thread & 31;
        int warp = thread / 32;
        int k = meta.get(1);
        int tiles = k / 128;
        int row = context.groupIdx / tiles;
        int first = row * k + context.groupIdx % tiles * 128;
        if (thread < 128) {
            int slot = slots.get(first + thread);
            int small = slot < meta.get(2) ? slot : -1;
            tokens[thread] = small;
        }
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
        int leftWarp = (warp / 4) * 4 * 512;
        int rightWarp = (warp % 4) * 4 * 256;
        int fillTile = (thread / 32 / 4) * 128 + (thread / 32 % 4) * 32 + lane;
        context.localBarrier();
        for (int step = 0; step < 9; step++) {
            // All loads before the first store: the compiler cannot tell that the two never meet, and would wait for each.
            // Four tokens by eight ints a warp: whole sectors from memory, all banks of local memory once.
            int slot0 = tokens[0 + warp * 4 + lane / 8];
            int from0 = slot0 * 288 + step * 32 + lane % 8;
            int slot1 = tokens[32 + warp * 4 + lane / 8];
            int from1 = slot1 * 288 + step * 32 + lane % 8;
            int slot2 = tokens[64 + warp * 4 + lane / 8];
            int from2 = slot2 * 288 + step * 32 + lane % 8;
            int slot3 = tokens[96 + warp * 4 + lane / 8];
            int from3 = slot3 * 288 + step * 32 + lane % 8;
            int v0 = slot0 >= 0 ? latents.get(from0 + 0) : 0;
            int v1 = slot0 >= 0 ? latents.get(from0 + 8) : 0;
            int v2 = slot0 >= 0 ? latents.get(from0 + 16) : 0;
            int v3 = slot0 >= 0 ? latents.get(from0 + 24) : 0;
            int v4 = slot1 >= 0 ? latents.get(from1 + 0) : 0;
            int v5 = slot1 >= 0 ? latents.get(from1 + 8) : 0;
            int v6 = slot1 >= 0 ? latents.get(from1 + 16) : 0;
            int v7 = slot1 >= 0 ? latents.get(from1 + 24) : 0;
            int v8 = slot2 >= 0 ? latents.get(from2 + 0) : 0;
            int v9 = slot2 >= 0 ? latents.get(from2 + 8) : 0;
            int v10 = slot2 >= 0 ? latents.get(from2 + 16) : 0;
            int v11 = slot2 >= 0 ? latents.get(from2 + 24) : 0;
            int v12 = slot3 >= 0 ? latents.get(from3 + 0) : 0;
            int v13 = slot3 >= 0 ? latents.get(from3 + 8) : 0;
            int v14 = slot3 >= 0 ? latents.get(from3 + 16) : 0;
            int v15 = slot3 >= 0 ? latents.get(from3 + 24) : 0;
            int from = row * 36864 + step * 4096 + thread;
            int w0 = queries.get(from + 0);
            int w1 = queries.get(from + 256);
            int w2 = queries.get(from + 512);
            int w3 = queries.get(from + 768);
            int w4 = queries.get(from + 1024);
            int w5 = queries.get(from + 1280);
            int w6 = queries.get(from + 1536);
            int w7 = queries.get(from + 1792);
            int w8 = queries.get(from + 2048);
            int w9 = queries.get(from + 2304);
            int w10 = queries.get(from + 2560);
            int w11 = queries.get(from + 2816);
            int w12 = queries.get(from + 3072);
            int w13 = queries.get(from + 3328);
            int w14 = queries.get(from + 3584);
            int w15 = queries.get(from + 3840);
            left[0 + fillTile] = v0;
            left[1024 + fillTile] = v1;
            left[2048 + fillTile] = v2;
            left[3072 + fillTile] = v3;
            left[256 + fillTile] = v4;
            left[1280 + fillTile] = v5;
            left[2304 + fillTile] = v6;
            left[3328 + fillTile] = v7;
            left[512 + fillTile] = v8;
            left[1536 + fillTile] = v9;
            left[2560 + fillTile] = v10;
            left[3584 + fillTile] = v11;
            left[768 + fillTile] = v12;
            left[1792 + fillTile] = v13;
            left[2816 + fillTile] = v14;
            left[3840 + fillTile] = v15;
            right[0 + thread] = w0;
            right[256 + thread] = w1;
            right[512 + thread] = w2;
            right[768 + thread] = w3;
            right[1024 + thread] = w4;
            right[1280 + thread] = w5;
            right[1536 + thread] = w6;
            right[1792 + thread] = w7;
            right[2048 + thread] = w8;
            right[2304 + thread] = w9;
            right[2560 + thread] = w10;
            right[2816 + thread] = w11;
            right[3072 + thread] = w12;
            right[3328 + thread] = w13;
            right[3584 + thread] = w14;
            right[3840 + thread] = w15;
            context.localBarrier();
            for (int part = 0; part < 4; part++) {
                int leftAt = part * 4096 + leftWarp;
                int rightAt = part * 4096 + rightWarp;
                HalfFloat[] a0 = context.mmaLoadA(left, 16, leftAt + 0);
                HalfFloat[] a1 = context.mmaLoadA(left, 16, leftAt + 512);
                HalfFloat[] a2 = context.mmaLoadA(left, 16, leftAt + 1024);
                HalfFloat[] a3 = context.mmaLoadA(left, 16, leftAt + 1536);
                HalfFloat[] b0 = context.mmaLoadB(right, 16, rightAt + 0);
                c00 = context.mmaBF16(a0, b0, c00, MMAShape.M16N8K16);
                c10 = context.mmaBF16(a1, b0, c10, MMAShape.M16N8K16);
                c20 = context.mmaBF16(a2, b0, c20, MMAShape.M16N8K16);
                c30 = context.mmaBF16(a3, b0, c30, MMAShape.M16N8K16);
                HalfFloat[] b1 = context.mmaLoadB(right, 16, rightAt + 256);
                c01 = context.mmaBF16(a0, b1, c01, MMAShape.M16N8K16);
                c11 = context.mmaBF16(a1, b1, c11, MMAShape.M16N8K16);
                c21 = context.mmaBF16(a2, b1, c21, MMAShape.M16N8K16);
                c31 = context.mmaBF16(a3, b1, c31, MMAShape.M16N8K16);
                HalfFloat[] b2 = context.mmaLoadB(right, 16, rightAt + 512);
                c02 = context.mmaBF16(a0, b2, c02, MMAShape.M16N8K16);
                c12 = context.mmaBF16(a1, b2, c12, MMAShape.M16N8K16);
                c22 = context.mmaBF16(a2, b2, c22, MMAShape.M16N8K16);
                c32 = context.mmaBF16(a3, b2, c32, MMAShape.M16N8K16);
                HalfFloat[] b3 = context.mmaLoadB(right, 16, rightAt + 768);
                c03 = context.mmaBF16(a0, b3, c03, MMAShape.M16N8K16);
                c13 = context.mmaBF16(a1, b3, c13, MMAShape.M16N8K16);
                c23 = context.mmaBF16(a2, b3, c23, MMAShape.M16N8K16);
                c33 = context.mmaBF16(a3, b3, c33, MMAShape.M16N8K16);
            }
            context.localBarrier();
        }
        int storeRow = first + (warp / 4) * 64;
        int storeColumn = (warp % 4) * 32;
        context.mmaStore(c00, scores, storeRow + 0, storeColumn + 0, 128);
        context.mmaStore(c01, scores, storeRow + 0, storeColumn + 8, 128);
        context.mmaStore(c02, scores, storeRow + 0, storeColumn + 16, 128);
        context.mmaStore(c03, scores, storeRow + 0, storeColumn + 24, 128);
        context.mmaStore(c10, scores, storeRow + 16, storeColumn + 0, 128);
        context.mmaStore(c11, scores, storeRow + 16, storeColumn + 8, 128);
        context.mmaStore(c12, scores, storeRow + 16, storeColumn + 16, 128);
        context.mmaStore(c13, scores, storeRow + 16, storeColumn + 24, 128);
        context.mmaStore(c20, scores, storeRow + 32, storeColumn + 0, 128);
        context.mmaStore(c21, scores, storeRow + 32, storeColumn + 8, 128);
        context.mmaStore(c22, scores, storeRow + 32, storeColumn + 16, 128);
        context.mmaStore(c23, scores, storeRow + 32, storeColumn + 24, 128);
        context.mmaStore(c30, scores, storeRow + 48, storeColumn + 0, 128);
        context.mmaStore(c31, scores, storeRow + 48, storeColumn + 8, 128);
        context.mmaStore(c32, scores, storeRow + 48, storeColumn + 16, 128);
        context.mmaStore(c33, scores, storeRow + 48, storeColumn + 24, 128);
        context.globalBarrier();
        // two threads a head, each over half of the tokens
        int head = thread % 128;
        float best = -1e30f;
        for (int t = thread / 128; t < 128; t += 2) {
            float score = scores.get((first + t) * 128 + head);
            best = tokens[t] >= 0 ? TornadoMath.max(best, score) : best;
        }
        context.localBarrier();
        highest.set((first / 128 * 2 + thread / 128) * 128 + head, best);
    }

    /**
     * Weights {@code exp(scale (score - maximum))} in bf16, as left tiles of {@link #kSums}: for each row {@code [k / 16][8
     * tiles of 16 heads][16][8]} ints; and their sums by tiles of tokens. One block a row and tile of 128 tokens.
     *
     * @param factors the softmax scale
     * @param sums {@code [rows, k / 128, 2, 128]}
     */
    public static void kWeights(
            KernelContext context,
            IntArray meta,
            FloatArray factors,
            IntArray slots,
            FloatArray scores,
            FloatArray highest,
            IntArray weights,
            FloatArray sums) {
        int[] packed = context.allocateIntLocalArray(1024);
        int[] tokens = context.allocateIntLocalArray(128);
        int thread = context.localIdx;
        int k = meta.get(1);
        int limit = meta.get(2);
        int tiles = k / 128;
        int row = context.groupIdx / tiles;
        int first = row * k + context.groupIdx % tiles * 128;
        int head = thread % 128;
        int side = thread / 128;
        float scale = factors.get(0);
        float best = -1e30f;
        for (int t = 0; t < 2 * tiles; t++) {
            best = TornadoMath.max(best, highest.get((row * tiles * 2 + t) * 128 + head));
        }
        if (thread < 128) {
            int slot = slots.get(first + thread);
            int small = slot < limit ? slot : -1;
            tokens[thread] = small;
        }
        context.localBarrier();
        float sum = 0f;
        for (int part = 0; part < 8; part++) {
            int at = (first + part * 16 + side * 2) * 128 + head;
            float s0 = scores.get(at + 0);
            float s1 = scores.get(at + 128);
            float s2 = scores.get(at + 512);
            float s3 = scores.get(at + 640);
            float s4 = scores.get(at + 1024);
            float s5 = scores.get(at + 1152);
            float s6 = scores.get(at + 1536);
            float s7 = scores.get(at + 1664);
            float p0 = tokens[part * 16 + side * 2 + 0] >= 0 ? TornadoMath.exp((s0 - best) * scale) : 0f;
            float p1 = tokens[part * 16 + side * 2 + 1] >= 0 ? TornadoMath.exp((s1 - best) * scale) : 0f;
            float p2 = tokens[part * 16 + side * 2 + 4] >= 0 ? TornadoMath.exp((s2 - best) * scale) : 0f;
            float p3 = tokens[part * 16 + side * 2 + 5] >= 0 ? TornadoMath.exp((s3 - best) * scale) : 0f;
            float p4 = tokens[part * 16 + side * 2 + 8] >= 0 ? TornadoMath.exp((s4 - best) * scale) : 0f;
            float p5 = tokens[part * 16 + side * 2 + 9] >= 0 ? TornadoMath.exp((s5 - best) * scale) : 0f;
            float p6 = tokens[part * 16 + side * 2 + 12] >= 0 ? TornadoMath.exp((s6 - best) * scale) : 0f;
            float p7 = tokens[part * 16 + side * 2 + 13] >= 0 ? TornadoMath.exp((s7 - best) * scale) : 0f;
            sum += p0 + p1 + p2 + p3 + p4 + p5 + p6 + p7;
            packed[head * 8 + 0 + side] =
                    (BFloat16.bf16FromFloat(p0) & 0xffff) | (BFloat16.bf16FromFloat(p1) << 16);
            packed[head * 8 + 2 + side] =
                    (BFloat16.bf16FromFloat(p2) & 0xffff) | (BFloat16.bf16FromFloat(p3) << 16);
            packed[head * 8 + 4 + side] =
                    (BFloat16.bf16FromFloat(p4) & 0xffff) | (BFloat16.bf16FromFloat(p5) << 16);
            packed[head * 8 + 6 + side] =
                    (BFloat16.bf16FromFloat(p6) & 0xffff) | (BFloat16.bf16FromFloat(p7) << 16);
            context.localBarrier();
            for (int u = 0; u < 4; u++) {
                weights.set((first / 16 + part) * 1024 + u * 256 + thread, packed[u * 256 + thread]);
            }
            context.localBarrier();
        }
        sums.set((first / 128 * 2 + side) * 128 + head, sum);
    }

    /**
     * {@code sums over tokens of weight * c[:512]} for a row and 128 of the 512 dimensions a block.
     *
     * @param weights as {@link #kWeights} made them
     * @param out {@code [rows, 128, 512]}
     */
    public static void kSums(
            KernelContext context, IntArray meta, IntArray slots, IntArray weights, IntArray latents, FloatArray out) {
        int[] left = context.allocateIntLocalArray(4096);
        int[] right = context.allocateIntLocalArray(4096);
        int[] tokens = context.allocateIntLocalArray(128);
        int thread = context.localIdx;
        int lane = thread & 31;
        int warp = thread / 32;
        int k = meta.get(1);
        int limit = meta.get(2);
        int row = context.groupIdx / 4;
        int column = context.groupIdx % 4;
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
        int leftWarp = (warp / 4) * 4 * 512;
        int rightWarp = (warp % 4) * 4 * 256;
        int fillTile = (warp / 4) * 1024 + (lane % 8 / 4) * 64 + (warp % 4 * 4 + lane / 8) * 4 + lane % 4;
        for (int step = 0; step < k / 64; step++) {
            if (thread < 64) {
                int slot = slots.get(row * k + step * 64 + thread);
                int small = slot < limit ? slot : -1;
                tokens[thread] = small;
            }
            int from = (row * k / 64 + step) * 4096 + thread;
            int w0 = weights.get(from + 0);
            int w1 = weights.get(from + 256);
            int w2 = weights.get(from + 512);
            int w3 = weights.get(from + 768);
            int w4 = weights.get(from + 1024);
            int w5 = weights.get(from + 1280);
            int w6 = weights.get(from + 1536);
            int w7 = weights.get(from + 1792);
            int w8 = weights.get(from + 2048);
            int w9 = weights.get(from + 2304);
            int w10 = weights.get(from + 2560);
            int w11 = weights.get(from + 2816);
            int w12 = weights.get(from + 3072);
            int w13 = weights.get(from + 3328);
            int w14 = weights.get(from + 3584);
            int w15 = weights.get(from + 3840);
            context.localBarrier();
            // four tokens by eight ints a warp: whole sectors from memory, every bank of local memory twice
            int slot0 = tokens[0 + warp * 4 + lane / 8];
            int from0 = slot0 * 288 + column * 64 + lane % 8;
            int slot1 = tokens[32 + warp * 4 + lane / 8];
            int from1 = slot1 * 288 + column * 64 + lane % 8;
            int v0 = slot0 >= 0 ? latents.get(from0 + 0) : 0;
            int v1 = slot1 >= 0 ? latents.get(from1 + 0) : 0;
            int v2 = slot0 >= 0 ? latents.get(from0 + 8) : 0;
            int v3 = slot1 >= 0 ? latents.get(from1 + 8) : 0;
            int v4 = slot0 >= 0 ? latents.get(from0 + 16) : 0;
            int v5 = slot1 >= 0 ? latents.get(from1 + 16) : 0;
            int v6 = slot0 >= 0 ? latents.get(from0 + 24) : 0;
            int v7 = slot1 >= 0 ? latents.get(from1 + 24) : 0;
            int v8 = slot0 >= 0 ? latents.get(from0 + 32) : 0;
            int v9 = slot1 >= 0 ? latents.get(from1 + 32) : 0;
            int v10 = slot0 >= 0 ? latents.get(from0 + 40) : 0;
            int v11 = slot1 >= 0 ? latents.get(from1 + 40) : 0;
            int v12 = slot0 >= 0 ? latents.get(from0 + 48) : 0;
            int v13 = slot1 >= 0 ? latents.get(from1 + 48) : 0;
            int v14 = slot0 >= 0 ? latents.get(from0 + 56) : 0;
            int v15 = slot1 >= 0 ? latents.get(from1 + 56) : 0;
            left[0 + thread] = w0;
            left[256 + thread] = w1;
            left[512 + thread] = w2;
            left[768 + thread] = w3;
            left[1024 + thread] = w4;
            left[1280 + thread] = w5;
            left[1536 + thread] = w6;
            left[1792 + thread] = w7;
            left[2048 + thread] = w8;
            left[2304 + thread] = w9;
            left[2560 + thread] = w10;
            left[2816 + thread] = w11;
            left[3072 + thread] = w12;
            left[3328 + thread] = w13;
            left[3584 + thread] = w14;
            left[3840 + thread] = w15;
            right[0 + fillTile] = v0;
            right[2048 + fillTile] = v1;
            right[128 + fillTile] = v2;
            right[2176 + fillTile] = v3;
            right[256 + fillTile] = v4;
            right[2304 + fillTile] = v5;
            right[384 + fillTile] = v6;
            right[2432 + fillTile] = v7;
            right[512 + fillTile] = v8;
            right[2560 + fillTile] = v9;
            right[640 + fillTile] = v10;
            right[2688 + fillTile] = v11;
            right[768 + fillTile] = v12;
            right[2816 + fillTile] = v13;
            right[896 + fillTile] = v14;
            right[2944 + fillTile] = v15;
            context.localBarrier();
            for (int part = 0; part < 4; part++) {
                int leftAt = part * 4096 + leftWarp;
                int rightAt = part * 4096 + rightWarp;
                HalfFloat[] a0 = context.mmaLoadA(left, 16, leftAt + 0);
                HalfFloat[] a1 = context.mmaLoadA(left, 16, leftAt + 512);
                HalfFloat[] a2 = context.mmaLoadA(left, 16, leftAt + 1024);
                HalfFloat[] a3 = context.mmaLoadA(left, 16, leftAt + 1536);
                HalfFloat[] b0 = context.mmaLoadB(right, 16, rightAt + 0);
                c00 = context.mmaBF16(a0, b0, c00, MMAShape.M16N8K16);
                c10 = context.mmaBF16(a1, b0, c10, MMAShape.M16N8K16);
                c20 = context.mmaBF16(a2, b0, c20, MMAShape.M16N8K16);
                c30 = context.mmaBF16(a3, b0, c30, MMAShape.M16N8K16);
                HalfFloat[] b1 = context.mmaLoadB(right, 16, rightAt + 256);
                c01 = context.mmaBF16(a0, b1, c01, MMAShape.M16N8K16);
                c11 = context.mmaBF16(a1, b1, c11, MMAShape.M16N8K16);
                c21 = context.mmaBF16(a2, b1, c21, MMAShape.M16N8K16);
                c31 = context.mmaBF16(a3, b1, c31, MMAShape.M16N8K16);
                HalfFloat[] b2 = context.mmaLoadB(right, 16, rightAt + 512);
                c02 = context.mmaBF16(a0, b2, c02, MMAShape.M16N8K16);
                c12 = context.mmaBF16(a1, b2, c12, MMAShape.M16N8K16);
                c22 = context.mmaBF16(a2, b2, c22, MMAShape.M16N8K16);
                c32 = context.mmaBF16(a3, b2, c32, MMAShape.M16N8K16);
                HalfFloat[] b3 = context.mmaLoadB(right, 16, rightAt + 768);
                c03 = context.mmaBF16(a0, b3, c03, MMAShape.M16N8K16);
                c13 = context.mmaBF16(a1, b3, c13, MMAShape.M16N8K16);
                c23 = context.mmaBF16(a2, b3, c23, MMAShape.M16N8K16);
                c33 = context.mmaBF16(a3, b3, c33, MMAShape.M16N8K16);
            }
            context.localBarrier();
        }
        int storeRow = row * 128 + (warp / 4) * 64;
        int storeColumn = column * 128 + (warp % 4) * 32;
        context.mmaStore(c00, out, storeRow + 0, storeColumn + 0, 512);
        context.mmaStore(c01, out, storeRow + 0, storeColumn + 8, 512);
        context.mmaStore(c02, out, storeRow + 0, storeColumn + 16, 512);
        context.mmaStore(c03, out, storeRow + 0, storeColumn + 24, 512);
        context.mmaStore(c10, out, storeRow + 16, storeColumn + 0, 512);
        context.mmaStore(c11, out, storeRow + 16, storeColumn + 8, 512);
        context.mmaStore(c12, out, storeRow + 16, storeColumn + 16, 512);
        context.mmaStore(c13, out, storeRow + 16, storeColumn + 24, 512);
        context.mmaStore(c20, out, storeRow + 32, storeColumn + 0, 512);
        context.mmaStore(c21, out, storeRow + 32, storeColumn + 8, 512);
        context.mmaStore(c22, out, storeRow + 32, storeColumn + 16, 512);
        context.mmaStore(c23, out, storeRow + 32, storeColumn + 24, 512);
        context.mmaStore(c30, out, storeRow + 48, storeColumn + 0, 512);
        context.mmaStore(c31, out, storeRow + 48, storeColumn + 8, 512);
        context.mmaStore(c32, out, storeRow + 48, storeColumn + 16, 512);
        context.mmaStore(c33, out, storeRow + 48, storeColumn + 24, 512);
    }

    /** {@code out /= the sum of the weights}; a row without a valid token gives 0. */
    public static void kDivide(KernelContext context, IntArray meta, FloatArray sums, FloatArray out) {
        int tiles = meta.get(1) / 128 * 2;
        int task = context.groupIdx;
        int thread = context.localIdx;
        int lane = thread & 31;
        float mine = 0f;
        for (int t = lane; t < tiles; t += 32) {
            mine += sums.get((task / 128 * tiles + t) * 128 + task % 128);
        }
        float total = context.simdSum(mine);
        float factor = total > 0f ? 1f / total : 0f;
        int at = task * 512 + thread;
        float v0 = out.get(at);
        float v1 = out.get(at + 128);
        float v2 = out.get(at + 256);
        float v3 = out.get(at + 384);
        out.set(at, v0 * factor);
        out.set(at + 128, v1 * factor);
        out.set(at + 256, v2 * factor);
        out.set(at + 384, v3 * factor);
    }
}
