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
 * first and the third are products of tiles of 128 x 128 over steps of 64, by sixteen warps of 2 x 4 fragments each.
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
    /** Threads of a block of the two products. */
    public static final int THREADS = 512;
    /** Threads of a block of {@link #kWeights}. */
    public static final int WEIGHT_THREADS = 256;
    /** Ints of a row's packed queries. */
    public static final int PACKED_INTS = WIDTH * HEADS / 2;
    /** Bytes of local memory of {@link #kPackQueries}. */
    public static final int PACK_BYTES = 512 * Integer.BYTES;
    /** Bytes of local memory of the two products. */
    public static final int PRODUCT_BYTES = (4096 + 4096 + TILE) * Integer.BYTES;
    /** Bytes of local memory of {@link #kWeights}. */
    public static final int WEIGHTS_BYTES = (16 * 129 + TILE) * Integer.BYTES;

    private MmaMlaKernels() {}

    /**
     * Queries in the order of {@link #kScores}' right tiles: for each row {@code [9][4][16][16][4]} ints: steps of 64
     * dimensions, of 16, tiles of 8 heads, dimensions, pairs of heads.
     *
     * @param q {@code [rows, 128, 576]}
     */
    public static void kPackQueries(KernelContext context, IntArray meta, FloatArray q, IntArray packed) {
        int[] halves = context.allocateIntLocalArray(512);
        int i = context.globalIdx;
        int thread = context.localIdx;
        if (i < meta.get(0) * 36864) {
            int head = (i / 64) % 16 * 8 + i % 4 * 2;
            int d = (i % 36864) / 1024 * 16 + i / 4 % 16;
            int at = (i / 36864 * 128 + head) * 576 + d;
            float low = q.get(at);
            float high = q.get(at + 576);
            // TornadoVM 5.2 computes with a fresh bf16 in 16 bits; read back from local memory it is an int
            halves[thread] = BFloat16.bf16FromFloat(low);
            halves[256 + thread] = BFloat16.bf16FromFloat(high);
            packed.set(i, (halves[thread] & 0xffff) | (halves[256 + thread] << 16));
        }
    }

    /**
     * {@code scores[r, t, h] = q[r, h] . c[slots[r, t]]}, not yet scaled, and the largest of each tile of 128 tokens. One
     * block a row and tile. What no valid slot is counts as a row of zeros here and is left out of the maximum.
     *
     * @param meta rows, k (a multiple of 128), slots of the cache, 0
     * @param slots {@code [rows, k]}
     * @param queries as {@link #kPackQueries} made them
     * @param latents {@code [slots, 288]}: pairs of bf16
     * @param scores {@code [rows, k, 128]}
     * @param highest {@code [rows, k / 128, 4, 128]}
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
        int leftWarp = (warp / 4) * 2 * 512;
        int rightWarp = (warp % 4) * 4 * 256;
        int fillTile = (warp / 4) * 128 + (warp % 4) * 32 + lane;
        context.localBarrier();
        // Four tokens by eight ints a warp: whole sectors from memory, all banks of local memory once. All loads come before
        // the first store (the compiler cannot tell that the two never meet), and a step ahead of their use.
        int slot0 = tokens[warp * 4 + lane / 8];
        int slot1 = tokens[64 + warp * 4 + lane / 8];
        int v0 = slot0 >= 0 ? latents.get(slot0 * 288 + 0 * 32 + lane % 8 + 0) : 0;
        int v1 = slot0 >= 0 ? latents.get(slot0 * 288 + 0 * 32 + lane % 8 + 8) : 0;
        int v2 = slot0 >= 0 ? latents.get(slot0 * 288 + 0 * 32 + lane % 8 + 16) : 0;
        int v3 = slot0 >= 0 ? latents.get(slot0 * 288 + 0 * 32 + lane % 8 + 24) : 0;
        int v4 = slot1 >= 0 ? latents.get(slot1 * 288 + 0 * 32 + lane % 8 + 0) : 0;
        int v5 = slot1 >= 0 ? latents.get(slot1 * 288 + 0 * 32 + lane % 8 + 8) : 0;
        int v6 = slot1 >= 0 ? latents.get(slot1 * 288 + 0 * 32 + lane % 8 + 16) : 0;
        int v7 = slot1 >= 0 ? latents.get(slot1 * 288 + 0 * 32 + lane % 8 + 24) : 0;
        int from = row * 36864 + 0 * 4096 + thread;
        int w0 = queries.get(from + 0);
        int w1 = queries.get(from + 512);
        int w2 = queries.get(from + 1024);
        int w3 = queries.get(from + 1536);
        int w4 = queries.get(from + 2048);
        int w5 = queries.get(from + 2560);
        int w6 = queries.get(from + 3072);
        int w7 = queries.get(from + 3584);
        for (int step = 0; step < 9; step++) {
            left[0 + fillTile] = v0;
            left[1024 + fillTile] = v1;
            left[2048 + fillTile] = v2;
            left[3072 + fillTile] = v3;
            left[512 + fillTile] = v4;
            left[1536 + fillTile] = v5;
            left[2560 + fillTile] = v6;
            left[3584 + fillTile] = v7;
            right[0 + thread] = w0;
            right[512 + thread] = w1;
            right[1024 + thread] = w2;
            right[1536 + thread] = w3;
            right[2048 + thread] = w4;
            right[2560 + thread] = w5;
            right[3072 + thread] = w6;
            right[3584 + thread] = w7;
            context.localBarrier();
            int next = Math.min(step + 1, 8);
            v0 = slot0 >= 0 ? latents.get(slot0 * 288 + next * 32 + lane % 8 + 0) : 0;
            v1 = slot0 >= 0 ? latents.get(slot0 * 288 + next * 32 + lane % 8 + 8) : 0;
            v2 = slot0 >= 0 ? latents.get(slot0 * 288 + next * 32 + lane % 8 + 16) : 0;
            v3 = slot0 >= 0 ? latents.get(slot0 * 288 + next * 32 + lane % 8 + 24) : 0;
            v4 = slot1 >= 0 ? latents.get(slot1 * 288 + next * 32 + lane % 8 + 0) : 0;
            v5 = slot1 >= 0 ? latents.get(slot1 * 288 + next * 32 + lane % 8 + 8) : 0;
            v6 = slot1 >= 0 ? latents.get(slot1 * 288 + next * 32 + lane % 8 + 16) : 0;
            v7 = slot1 >= 0 ? latents.get(slot1 * 288 + next * 32 + lane % 8 + 24) : 0;
            from = row * 36864 + next * 4096 + thread;
            w0 = queries.get(from + 0);
            w1 = queries.get(from + 512);
            w2 = queries.get(from + 1024);
            w3 = queries.get(from + 1536);
            w4 = queries.get(from + 2048);
            w5 = queries.get(from + 2560);
            w6 = queries.get(from + 3072);
            w7 = queries.get(from + 3584);
            // read anew in every step, or the compiler keeps the addresses of all parts in registers
            int zero = meta.get(3);
            for (int part = 0; part < 4; part++) {
                int leftAt = part * 4096 + leftWarp + zero;
                int rightAt = part * 4096 + rightWarp + zero;
                HalfFloat[] a0 = context.mmaLoadA(left, 16, leftAt + 0);
                HalfFloat[] a1 = context.mmaLoadA(left, 16, leftAt + 512);
                HalfFloat[] b0 = context.mmaLoadB(right, 16, rightAt + 0);
                c00 = context.mmaBF16(a0, b0, c00, MMAShape.M16N8K16);
                c10 = context.mmaBF16(a1, b0, c10, MMAShape.M16N8K16);
                HalfFloat[] b1 = context.mmaLoadB(right, 16, rightAt + 256);
                c01 = context.mmaBF16(a0, b1, c01, MMAShape.M16N8K16);
                c11 = context.mmaBF16(a1, b1, c11, MMAShape.M16N8K16);
                HalfFloat[] b2 = context.mmaLoadB(right, 16, rightAt + 512);
                c02 = context.mmaBF16(a0, b2, c02, MMAShape.M16N8K16);
                c12 = context.mmaBF16(a1, b2, c12, MMAShape.M16N8K16);
                HalfFloat[] b3 = context.mmaLoadB(right, 16, rightAt + 768);
                c03 = context.mmaBF16(a0, b3, c03, MMAShape.M16N8K16);
                c13 = context.mmaBF16(a1, b3, c13, MMAShape.M16N8K16);
            }
            context.localBarrier();
        }
        int storeRow = first + (warp / 4) * 32;
        int storeColumn = (warp % 4) * 32;
        context.mmaStore(c00, scores, storeRow + 0, storeColumn + 0, 128);
        context.mmaStore(c01, scores, storeRow + 0, storeColumn + 8, 128);
        context.mmaStore(c02, scores, storeRow + 0, storeColumn + 16, 128);
        context.mmaStore(c03, scores, storeRow + 0, storeColumn + 24, 128);
        context.mmaStore(c10, scores, storeRow + 16, storeColumn + 0, 128);
        context.mmaStore(c11, scores, storeRow + 16, storeColumn + 8, 128);
        context.mmaStore(c12, scores, storeRow + 16, storeColumn + 16, 128);
        context.mmaStore(c13, scores, storeRow + 16, storeColumn + 24, 128);
        context.globalBarrier();
        // four threads a head, each over a quarter of the tokens, eight loads at a time
        int head = thread % 128;
        int side = thread / 128;
        float best = -1e30f;
        for (int t = side; t < 128; t += 32) {
            int at = (first + t) * 128 + head;
            float s0 = scores.get(at + 0);
            float s1 = scores.get(at + 512);
            float s2 = scores.get(at + 1024);
            float s3 = scores.get(at + 1536);
            float s4 = scores.get(at + 2048);
            float s5 = scores.get(at + 2560);
            float s6 = scores.get(at + 3072);
            float s7 = scores.get(at + 3584);
            best = tokens[t + 0] >= 0 ? TornadoMath.max(best, s0) : best;
            best = tokens[t + 4] >= 0 ? TornadoMath.max(best, s1) : best;
            best = tokens[t + 8] >= 0 ? TornadoMath.max(best, s2) : best;
            best = tokens[t + 12] >= 0 ? TornadoMath.max(best, s3) : best;
            best = tokens[t + 16] >= 0 ? TornadoMath.max(best, s4) : best;
            best = tokens[t + 20] >= 0 ? TornadoMath.max(best, s5) : best;
            best = tokens[t + 24] >= 0 ? TornadoMath.max(best, s6) : best;
            best = tokens[t + 28] >= 0 ? TornadoMath.max(best, s7) : best;
        }
        highest.set((first / 128 * 4 + side) * 128 + head, best);
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
        int[] packed = context.allocateIntLocalArray(2064);
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
        for (int t = 0; t < 4 * tiles; t++) {
            best = TornadoMath.max(best, highest.get((row * tiles * 4 + t) * 128 + head));
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
            packed[(0 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p0);
            packed[(1 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p1);
            packed[(4 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p2);
            packed[(5 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p3);
            packed[(8 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p4);
            packed[(9 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p5);
            packed[(12 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p6);
            packed[(13 + side * 2) * 129 + head] = BFloat16.bf16FromFloat(p7);
            context.localBarrier();
            // TornadoVM 5.2 computes with a fresh bf16 in 16 bits; read back from local memory it is an int
            for (int u = 0; u < 4; u++) {
                int cell = u * 256 + thread;
                int half = cell % 8 * 258 + cell / 8;
                weights.set((first / 16 + part) * 1024 + cell, (packed[half] & 0xffff) | (packed[half + 129] << 16));
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
        int leftWarp = (warp / 4) * 2 * 512;
        int rightWarp = (warp % 4) * 4 * 256;
        int fillTile = (warp / 4) * 1024 + (lane % 8 / 4) * 64 + (warp % 4 * 4 + lane / 8) * 4 + lane % 4;
        int steps = k / 64;
        // four tokens by eight ints a warp: whole sectors from memory, every bank of local memory twice; rows are loaded a
        // step ahead of their use, and their slots a step before that
        int fillToken = row * k + warp * 4 + lane / 8;
        int slot = slots.get(fillToken);
        slot = slot < limit ? slot : -1;
        int nextSlot = slots.get(fillToken + 64 * Math.min(1, steps - 1));
        int source = slot * 288 + column * 64 + lane % 8;
        int v0 = slot >= 0 ? latents.get(source + 0) : 0;
        int v1 = slot >= 0 ? latents.get(source + 8) : 0;
        int v2 = slot >= 0 ? latents.get(source + 16) : 0;
        int v3 = slot >= 0 ? latents.get(source + 24) : 0;
        int v4 = slot >= 0 ? latents.get(source + 32) : 0;
        int v5 = slot >= 0 ? latents.get(source + 40) : 0;
        int v6 = slot >= 0 ? latents.get(source + 48) : 0;
        int v7 = slot >= 0 ? latents.get(source + 56) : 0;
        int from = (row * k / 64 + 0) * 4096 + thread;
        int w0 = weights.get(from + 0);
        int w1 = weights.get(from + 512);
        int w2 = weights.get(from + 1024);
        int w3 = weights.get(from + 1536);
        int w4 = weights.get(from + 2048);
        int w5 = weights.get(from + 2560);
        int w6 = weights.get(from + 3072);
        int w7 = weights.get(from + 3584);
        for (int step = 0; step < steps; step++) {
            left[0 + thread] = w0;
            left[512 + thread] = w1;
            left[1024 + thread] = w2;
            left[1536 + thread] = w3;
            left[2048 + thread] = w4;
            left[2560 + thread] = w5;
            left[3072 + thread] = w6;
            left[3584 + thread] = w7;
            right[0 + fillTile] = v0;
            right[128 + fillTile] = v1;
            right[256 + fillTile] = v2;
            right[384 + fillTile] = v3;
            right[512 + fillTile] = v4;
            right[640 + fillTile] = v5;
            right[768 + fillTile] = v6;
            right[896 + fillTile] = v7;
            context.localBarrier();
            int next = Math.min(step + 1, steps - 1);
            slot = nextSlot < limit ? nextSlot : -1;
            nextSlot = slots.get(fillToken + 64 * Math.min(step + 2, steps - 1));
            source = slot * 288 + column * 64 + lane % 8;
            v0 = slot >= 0 ? latents.get(source + 0) : 0;
            v1 = slot >= 0 ? latents.get(source + 8) : 0;
            v2 = slot >= 0 ? latents.get(source + 16) : 0;
            v3 = slot >= 0 ? latents.get(source + 24) : 0;
            v4 = slot >= 0 ? latents.get(source + 32) : 0;
            v5 = slot >= 0 ? latents.get(source + 40) : 0;
            v6 = slot >= 0 ? latents.get(source + 48) : 0;
            v7 = slot >= 0 ? latents.get(source + 56) : 0;
            from = (row * k / 64 + next) * 4096 + thread;
            w0 = weights.get(from + 0);
            w1 = weights.get(from + 512);
            w2 = weights.get(from + 1024);
            w3 = weights.get(from + 1536);
            w4 = weights.get(from + 2048);
            w5 = weights.get(from + 2560);
            w6 = weights.get(from + 3072);
            w7 = weights.get(from + 3584);
            int zero = meta.get(3);
            for (int part = 0; part < 4; part++) {
                int leftAt = part * 4096 + leftWarp + zero;
                int rightAt = part * 4096 + rightWarp + zero;
                HalfFloat[] a0 = context.mmaLoadA(left, 16, leftAt + 0);
                HalfFloat[] a1 = context.mmaLoadA(left, 16, leftAt + 512);
                HalfFloat[] b0 = context.mmaLoadB(right, 16, rightAt + 0);
                c00 = context.mmaBF16(a0, b0, c00, MMAShape.M16N8K16);
                c10 = context.mmaBF16(a1, b0, c10, MMAShape.M16N8K16);
                HalfFloat[] b1 = context.mmaLoadB(right, 16, rightAt + 256);
                c01 = context.mmaBF16(a0, b1, c01, MMAShape.M16N8K16);
                c11 = context.mmaBF16(a1, b1, c11, MMAShape.M16N8K16);
                HalfFloat[] b2 = context.mmaLoadB(right, 16, rightAt + 512);
                c02 = context.mmaBF16(a0, b2, c02, MMAShape.M16N8K16);
                c12 = context.mmaBF16(a1, b2, c12, MMAShape.M16N8K16);
                HalfFloat[] b3 = context.mmaLoadB(right, 16, rightAt + 768);
                c03 = context.mmaBF16(a0, b3, c03, MMAShape.M16N8K16);
                c13 = context.mmaBF16(a1, b3, c13, MMAShape.M16N8K16);
            }
            context.localBarrier();
        }
        int storeRow = row * 128 + (warp / 4) * 32;
        int storeColumn = column * 128 + (warp % 4) * 32;
        context.mmaStore(c00, out, storeRow + 0, storeColumn + 0, 512);
        context.mmaStore(c01, out, storeRow + 0, storeColumn + 8, 512);
        context.mmaStore(c02, out, storeRow + 0, storeColumn + 16, 512);
        context.mmaStore(c03, out, storeRow + 0, storeColumn + 24, 512);
        context.mmaStore(c10, out, storeRow + 16, storeColumn + 0, 512);
        context.mmaStore(c11, out, storeRow + 16, storeColumn + 8, 512);
        context.mmaStore(c12, out, storeRow + 16, storeColumn + 16, 512);
        context.mmaStore(c13, out, storeRow + 16, storeColumn + 24, 512);
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
