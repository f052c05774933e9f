package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Absorbed MLA over selected slots, on any device: a block serves one head of one row, with an online softmax. A warp's
 * threads read neighbouring values of a latent, so a token's score is first 32 sums.
 */
public final class MlaKernels {
    /** Threads of a block and tokens of a tile. */
    public static final int BLOCK = 128;
    /** The widest latent: four values for each thread. */
    public static final int MOST_LATENT = 4 * BLOCK;
    /** The widest row, latent and rotary key. */
    public static final int MOST_WIDTH = 640;
    /** Bytes of local memory. */
    public static final int LOCAL_BYTES =
            (MOST_WIDTH + 2 * BLOCK + 33 * BLOCK) * Float.BYTES + 2 * BLOCK * Integer.BYTES;

    private MlaKernels() {}

    /** Value d of a latent; 0 behind its end. */
    private static float value(
            IntArray bits, FloatArray floats, FloatArray table, int format, int latent, int rope, int slot, int d) {
        float value = 0f;
        if (d < latent) {
            value = Decode.latent(bits, floats, table, format, latent, rope, slot, d);
        }
        return value;
    }

    /**
     * {@code out = softmax(scale q . c) c[:latent]} for every head. Slots out of range are ignored; a row without a
     * valid one gives 0.
     *
     * @param meta rows, heads, latent, rope, k, slots of the cache, format
     * @param factors the softmax scale
     * @param slots {@code [rows, k]}
     * @param q {@code [rows, heads, latent + rope]}
     * @param bits latents in bf16 or FP8
     * @param floats latents in f32, or the scales of FP8
     * @param out {@code [rows, heads, latent]}
     */
    public static void kSparse(
            KernelContext context,
            IntArray meta,
            FloatArray factors,
            IntArray slots,
            FloatArray q,
            IntArray bits,
            FloatArray floats,
            FloatArray table,
            FloatArray out) {
        float[] query = context.allocateFloatLocalArray(640);
        float[] weights = context.allocateFloatLocalArray(128);
        float[] reduced = context.allocateFloatLocalArray(128);
        float[] parts = context.allocateFloatLocalArray(33 * 128);
        int[] tokens = context.allocateIntLocalArray(128);
        int[] last = context.allocateIntLocalArray(128);
        int heads = meta.get(1);
        int latent = meta.get(2);
        int rope = meta.get(3);
        int k = meta.get(4);
        int limit = meta.get(5);
        int format = meta.get(6);
        int task = context.groupIdx;
        int thread = context.localIdx;
        int row = task / heads;
        boolean used = row < meta.get(0);
        int width = latent + rope;
        for (int d = thread; d < width; d += 128) {
            query[d] = used ? q.get(task * width + d) * factors.get(0) : 0f;
        }
        float highest = -1e30f;
        float total = 0f;
        float a0 = 0f;
        float a1 = 0f;
        float a2 = 0f;
        float a3 = 0f;
        int count = used ? k : 0;
        for (int start = 0; start < count; start += 128) {
            context.localBarrier();
            int slot = start + thread < k ? slots.get(row * k + start + thread) : -1;
            boolean valid = slot >= 0 && slot < limit;
            tokens[thread] = valid ? slot : -1;
            last[thread] = valid ? thread + 1 : 0;
            context.localBarrier();
            for (int half = 64; half > 0; half = half / 2) {
                if (thread < half) {
                    last[thread] = Math.max(last[thread], last[thread + half]);
                }
                context.localBarrier();
            }
            // what is behind the last valid slot costs nothing: rows select fewer than k while a text is short
            int valued = last[0];
            int some = tokens[Math.max(valued - 1, 0)]; // reads in the place of those that are none
            // four tokens at once, so that many loads are under way
            for (int i = thread / 32 * 4; i < valued; i += 16) {
                int t0 = tokens[i] >= 0 ? tokens[i] : some;
                int t1 = tokens[i + 1] >= 0 ? tokens[i + 1] : some;
                int t2 = tokens[i + 2] >= 0 ? tokens[i + 2] : some;
                int t3 = tokens[i + 3] >= 0 ? tokens[i + 3] : some;
                float dot0 = 0f;
                float dot1 = 0f;
                float dot2 = 0f;
                float dot3 = 0f;
                for (int d = thread % 32; d < width; d += 32) {
                    float asked = query[d];
                    dot0 += asked * Decode.latent(bits, floats, table, format, latent, rope, t0, d);
                    dot1 += asked * Decode.latent(bits, floats, table, format, latent, rope, t1, d);
                    dot2 += asked * Decode.latent(bits, floats, table, format, latent, rope, t2, d);
                    dot3 += asked * Decode.latent(bits, floats, table, format, latent, rope, t3, d);
                }
                parts[i * 33 + thread % 32] = dot0;
                parts[i * 33 + 33 + thread % 32] = dot1;
                parts[i * 33 + 66 + thread % 32] = dot2;
                parts[i * 33 + 99 + thread % 32] = dot3;
            }
            context.localBarrier();
            float score = -1e30f;
            if (valid) {
                float dot = 0f;
                for (int i = 0; i < 32; i++) {
                    dot += parts[thread * 33 + i];
                }
                score = dot;
            }
            reduced[thread] = score;
            context.localBarrier();
            for (int half = 64; half > 0; half = half / 2) {
                if (thread < half) {
                    reduced[thread] = TornadoMath.max(reduced[thread], reduced[thread + half]);
                }
                context.localBarrier();
            }
            float before = highest;
            highest = TornadoMath.max(before, reduced[0]);
            context.localBarrier();
            float weight = valid ? TornadoMath.exp(score - highest) : 0f;
            weights[thread] = weight;
            reduced[thread] = weight;
            context.localBarrier();
            for (int half = 64; half > 0; half = half / 2) {
                if (thread < half) {
                    reduced[thread] += reduced[thread + half];
                }
                context.localBarrier();
            }
            float correction = TornadoMath.exp(before - highest);
            total = total * correction + reduced[0];
            a0 = a0 * correction;
            a1 = a1 * correction;
            a2 = a2 * correction;
            a3 = a3 * correction;
            for (int i = 0; i < valued; i += 4) {
                for (int j = 0; j < 4; j++) {
                    int token = tokens[i + j] >= 0 ? tokens[i + j] : some;
                    float p = weights[i + j]; // 0 for what is none
                    a0 += p * value(bits, floats, table, format, latent, rope, token, thread);
                    a1 += p * value(bits, floats, table, format, latent, rope, token, thread + 128);
                    a2 += p * value(bits, floats, table, format, latent, rope, token, thread + 256);
                    a3 += p * value(bits, floats, table, format, latent, rope, token, thread + 384);
                }
            }
        }
        float factor = total > 0f ? 1f / total : 0f;
        if (used && thread < latent) {
            out.set(task * latent + thread, a0 * factor);
        }
        if (used && thread + 128 < latent) {
            out.set(task * latent + thread + 128, a1 * factor);
        }
        if (used && thread + 256 < latent) {
            out.set(task * latent + thread + 256, a2 * factor);
        }
        if (used && thread + 384 < latent) {
            out.set(task * latent + thread + 384, a3 * factor);
        }
    }
}
