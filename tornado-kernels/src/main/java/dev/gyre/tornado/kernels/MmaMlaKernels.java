package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Sparse absorbed MLA on NVIDIA's tensor cores: 128 heads, latents of 512 and rotary keys of 64 in bf16.
 *
 * <p>TornadoVM 5.2 can store a product to global memory but not read it in registers, so the softmax cannot run
 * within a kernel as FlashAttention's does. Four kernels instead: scores and their maxima, weights, weighted sums,
 * division. The first and the third are products of tiles of 128 x 128 over steps of 64, by sixteen warps of 2 x 4
 * fragments each.
 *
 * <p>Arrays that are read and written by warps begin {@link Decode#LEAD} elements in.
 *
 * <p>Tiles in local memory are what {@code ldmatrix} reads: on the left 16 rows of 16 values (8 ints a row), on the
 * right 16 values of 8 columns (4 ints a value). Queries and weights lie so in global memory too, and are copied as
 * they are.
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
    /** Bytes of local memory of the two products. */
    public static final int PRODUCT_BYTES = (4096 + 4096 + TILE) * Integer.BYTES;

    private MmaMlaKernels() {}

    /**
     * {@code scores[r, t, h] = q[r, h] . c[slots[r, t]]}, not yet scaled, and the largest of each tile of 128 tokens.
     * One block a row and tile. What no valid slot is counts as a row of zeros here and is left out of the maximum.
     *
     * @param meta rows, k (a multiple of 128), slots of the cache, 0
     * @param slots {@code [rows, k]}
     * @param queries as {@link MmaSoftmaxKernels#kPackQueries} made them
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
        // Four tokens by eight ints a warp: whole sectors from memory, all banks of local memory once. All loads come
        // before the first store (the compiler cannot tell that the two never meet), and a step ahead of their use.
        int slot0 = tokens[warp * 4 + lane / 8];
        int slot1 = tokens[64 + warp * 4 + lane / 8];
        int v0 = slot0 >= 0 ? latents.get(Decode.LEAD + slot0 * 288 + lane % 8) : 0;
        int v1 = slot0 >= 0 ? latents.get(Decode.LEAD + slot0 * 288 + lane % 8 + 8) : 0;
        int v2 = slot0 >= 0 ? latents.get(Decode.LEAD + slot0 * 288 + lane % 8 + 16) : 0;
        int v3 = slot0 >= 0 ? latents.get(Decode.LEAD + slot0 * 288 + lane % 8 + 24) : 0;
        int v4 = slot1 >= 0 ? latents.get(Decode.LEAD + slot1 * 288 + lane % 8) : 0;
        int v5 = slot1 >= 0 ? latents.get(Decode.LEAD + slot1 * 288 + lane % 8 + 8) : 0;
        int v6 = slot1 >= 0 ? latents.get(Decode.LEAD + slot1 * 288 + lane % 8 + 16) : 0;
        int v7 = slot1 >= 0 ? latents.get(Decode.LEAD + slot1 * 288 + lane % 8 + 24) : 0;
        int from = Decode.LEAD + row * 36864 + thread;
        int w0 = queries.get(from);
        int w1 = queries.get(from + 512);
        int w2 = queries.get(from + 1024);
        int w3 = queries.get(from + 1536);
        int w4 = queries.get(from + 2048);
        int w5 = queries.get(from + 2560);
        int w6 = queries.get(from + 3072);
        int w7 = queries.get(from + 3584);
        for (int step = 0; step < 9; step++) {
            left[fillTile] = v0;
            left[1024 + fillTile] = v1;
            left[2048 + fillTile] = v2;
            left[3072 + fillTile] = v3;
            left[512 + fillTile] = v4;
            left[1536 + fillTile] = v5;
            left[2560 + fillTile] = v6;
            left[3584 + fillTile] = v7;
            right[thread] = w0;
            right[512 + thread] = w1;
            right[1024 + thread] = w2;
            right[1536 + thread] = w3;
            right[2048 + thread] = w4;
            right[2560 + thread] = w5;
            right[3072 + thread] = w6;
            right[3584 + thread] = w7;
            context.localBarrier();
            int next = Math.min(step + 1, 8);
            v0 = slot0 >= 0 ? latents.get(Decode.LEAD + slot0 * 288 + next * 32 + lane % 8) : 0;
            v1 = slot0 >= 0 ? latents.get(Decode.LEAD + slot0 * 288 + next * 32 + lane % 8 + 8) : 0;
            v2 = slot0 >= 0 ? latents.get(Decode.LEAD + slot0 * 288 + next * 32 + lane % 8 + 16) : 0;
            v3 = slot0 >= 0 ? latents.get(Decode.LEAD + slot0 * 288 + next * 32 + lane % 8 + 24) : 0;
            v4 = slot1 >= 0 ? latents.get(Decode.LEAD + slot1 * 288 + next * 32 + lane % 8) : 0;
            v5 = slot1 >= 0 ? latents.get(Decode.LEAD + slot1 * 288 + next * 32 + lane % 8 + 8) : 0;
            v6 = slot1 >= 0 ? latents.get(Decode.LEAD + slot1 * 288 + next * 32 + lane % 8 + 16) : 0;
            v7 = slot1 >= 0 ? latents.get(Decode.LEAD + slot1 * 288 + next * 32 + lane % 8 + 24) : 0;
            from = Decode.LEAD + row * 36864 + next * 4096 + thread;
            w0 = queries.get(from);
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
                HalfFloat[] a0 = context.mmaLoadA(left, 16, leftAt);
                HalfFloat[] a1 = context.mmaLoadA(left, 16, leftAt + 512);
                HalfFloat[] b0 = context.mmaLoadB(right, 16, rightAt);
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
        int storeColumn = Decode.LEAD + (warp % 4) * 32;
        context.mmaStore(c00, scores, storeRow, storeColumn, 128);
        context.mmaStore(c01, scores, storeRow, storeColumn + 8, 128);
        context.mmaStore(c02, scores, storeRow, storeColumn + 16, 128);
        context.mmaStore(c03, scores, storeRow, storeColumn + 24, 128);
        context.mmaStore(c10, scores, storeRow + 16, storeColumn, 128);
        context.mmaStore(c11, scores, storeRow + 16, storeColumn + 8, 128);
        context.mmaStore(c12, scores, storeRow + 16, storeColumn + 16, 128);
        context.mmaStore(c13, scores, storeRow + 16, storeColumn + 24, 128);
        context.globalBarrier();
        // four threads a head, each over a quarter of the tokens, eight loads at a time
        int head = thread % 128;
        int side = thread / 128;
        float best = -1e30f;
        for (int t = side; t < 128; t += 32) {
            int at = Decode.LEAD + (first + t) * 128 + head;
            float s0 = scores.get(at);
            float s1 = scores.get(at + 512);
            float s2 = scores.get(at + 1024);
            float s3 = scores.get(at + 1536);
            float s4 = scores.get(at + 2048);
            float s5 = scores.get(at + 2560);
            float s6 = scores.get(at + 3072);
            float s7 = scores.get(at + 3584);
            best = tokens[t] >= 0 ? TornadoMath.max(best, s0) : best;
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
     * {@code sums over tokens of weight * c[:512]} for a row and 128 of the 512 dimensions a block.
     *
     * @param weights as {@link MmaSoftmaxKernels#kWeights} made them
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
        // four tokens by eight ints a warp: whole sectors from memory, every bank of local memory twice; rows are
        // loaded a step ahead of their use, and their slots a step before that
        int fillToken = row * k + warp * 4 + lane / 8;
        int slot = slots.get(fillToken);
        slot = slot < limit ? slot : -1;
        int nextSlot = slots.get(fillToken + 64 * Math.min(1, steps - 1));
        int source = Decode.LEAD + slot * 288 + column * 64 + lane % 8;
        int v0 = slot >= 0 ? latents.get(source) : 0;
        int v1 = slot >= 0 ? latents.get(source + 8) : 0;
        int v2 = slot >= 0 ? latents.get(source + 16) : 0;
        int v3 = slot >= 0 ? latents.get(source + 24) : 0;
        int v4 = slot >= 0 ? latents.get(source + 32) : 0;
        int v5 = slot >= 0 ? latents.get(source + 40) : 0;
        int v6 = slot >= 0 ? latents.get(source + 48) : 0;
        int v7 = slot >= 0 ? latents.get(source + 56) : 0;
        int from = Decode.LEAD + row * k / 64 * 4096 + thread;
        int w0 = weights.get(from);
        int w1 = weights.get(from + 512);
        int w2 = weights.get(from + 1024);
        int w3 = weights.get(from + 1536);
        int w4 = weights.get(from + 2048);
        int w5 = weights.get(from + 2560);
        int w6 = weights.get(from + 3072);
        int w7 = weights.get(from + 3584);
        for (int step = 0; step < steps; step++) {
            left[thread] = w0;
            left[512 + thread] = w1;
            left[1024 + thread] = w2;
            left[1536 + thread] = w3;
            left[2048 + thread] = w4;
            left[2560 + thread] = w5;
            left[3072 + thread] = w6;
            left[3584 + thread] = w7;
            right[fillTile] = v0;
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
            source = Decode.LEAD + slot * 288 + column * 64 + lane % 8;
            v0 = slot >= 0 ? latents.get(source) : 0;
            v1 = slot >= 0 ? latents.get(source + 8) : 0;
            v2 = slot >= 0 ? latents.get(source + 16) : 0;
            v3 = slot >= 0 ? latents.get(source + 24) : 0;
            v4 = slot >= 0 ? latents.get(source + 32) : 0;
            v5 = slot >= 0 ? latents.get(source + 40) : 0;
            v6 = slot >= 0 ? latents.get(source + 48) : 0;
            v7 = slot >= 0 ? latents.get(source + 56) : 0;
            from = Decode.LEAD + (row * k / 64 + next) * 4096 + thread;
            w0 = weights.get(from);
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
                HalfFloat[] a0 = context.mmaLoadA(left, 16, leftAt);
                HalfFloat[] a1 = context.mmaLoadA(left, 16, leftAt + 512);
                HalfFloat[] b0 = context.mmaLoadB(right, 16, rightAt);
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
        context.mmaStore(c00, out, storeRow, storeColumn, 512);
        context.mmaStore(c01, out, storeRow, storeColumn + 8, 512);
        context.mmaStore(c02, out, storeRow, storeColumn + 16, 512);
        context.mmaStore(c03, out, storeRow, storeColumn + 24, 512);
        context.mmaStore(c10, out, storeRow + 16, storeColumn, 512);
        context.mmaStore(c11, out, storeRow + 16, storeColumn + 8, 512);
        context.mmaStore(c12, out, storeRow + 16, storeColumn + 16, 512);
        context.mmaStore(c13, out, storeRow + 16, storeColumn + 24, 512);
    }
}
