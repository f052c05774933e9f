package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * From the projections of new tokens to what the caches hold and attention asks, in one kernel each: norm, rotary
 * position, quantization and the write into the token's slot. On the host these are Ops.rmsNorm, layerNorm, rope and
 * append one after the other; sums are in f32 here and in f64 there. (So squares must stay below f32's 3.4e38:
 * projections below 1e17.)
 *
 * <p>Angles are {@code [positions, rope]}: the cosines of a position's rope/2 pairs, then their sines.
 */
public final class PrologueKernels {
    /** Threads of a block. */
    public static final int BLOCK = AppendKernels.BLOCK;
    /** Bytes of local memory of {@link #kLatents}. */
    public static final int LATENT_BYTES = BLOCK * Float.BYTES + AppendKernels.LOCAL_BYTES;
    /** Bytes of local memory of {@link #kIndexKeys}: a key, two sums, Hadamard's rotation. */
    public static final int KEY_BYTES = 4 * BLOCK * Float.BYTES + AppendKernels.LOCAL_BYTES;
    /** Bytes of local memory of {@link #kHadamard}. */
    public static final int HADAMARD_BYTES = BLOCK * Float.BYTES;
    /** Of both norms, whatever rms_norm_eps says: as in LatentAttentionLayer and Indexer. */
    private static final float EPS = 1e-6f;

    private PrologueKernels() {}

    /** The sum over the threads of a block of {@link #BLOCK}, for all of them. */
    private static float sum(KernelContext context, float mine) {
        // not the caller's array: TornadoVM 5.2 takes bytes for elements where a local array is a parameter
        float[] partial = context.allocateFloatLocalArray(128);
        int thread = context.localIdx;
        partial[thread] = mine;
        context.localBarrier();
        for (int half = BLOCK / 2; half > 0; half = half / 2) {
            if (thread < half) {
                partial[thread] += partial[thread + half];
            }
            context.localBarrier();
        }
        return partial[0];
    }

    /**
     * Value i of {@code H x / sqrt(dim)} for thread i, whose x is {@code mine}: Sylvester's matrix of the order
     * {@code dim}, a power of two; of order 1 it is x. By all threads of the block; what those beyond dim give and get
     * does not count.
     */
    private static float hadamard(KernelContext context, float mine, int dim) {
        float[] values = context.allocateFloatLocalArray(128);
        int thread = context.localIdx;
        float value = mine;
        for (int distance = 1; distance < dim; distance = distance * 2) {
            values[thread] = value;
            context.localBarrier();
            float other = values[thread ^ distance];
            value = (thread & distance) == 0 ? value + other : other - value;
            context.localBarrier();
        }
        return value / TornadoMath.sqrt((float) dim);
    }

    /**
     * MLA's cached row of each token (arXiv 2405.04434, section 2.1): of {@code [c | k_r]} the latent
     * {@code RMSNorm(c)} and the rotary key {@code RoPE(k_r)}, stored in the slot of the last token that the row sees.
     * One block a row.
     *
     * @param meta rows, latent, rope, format, row stride of the page tables, 1 where RoPE's pairs are (2i, 2i+1) and 0
     *     where they are (i, i + rope/2)
     * @param visible {@code [rows]}: how many tokens a row sees, itself the last
     * @param tables {@code [rows, stride]}: pages of a row's sequence
     * @param kv {@code [rows, latent + rope]}
     * @param gain {@code [latent]}
     * @param angles {@code [positions, rope]}
     * @param rows {@code [rows, latent + rope]}: bits of what is cached, before it is rounded
     * @param bits the cache in bf16 or FP8
     * @param floats the cache in f32, or the scales of FP8
     */
    public static void kLatents(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray tables,
            FloatArray kv,
            FloatArray gain,
            FloatArray angles,
            IntArray rows,
            IntArray bits,
            FloatArray floats) {
        int row = Math.min(context.groupIdx, Math.max(meta.get(0) - 1, 0));
        int thread = context.localIdx;
        // a block without a row goes through and stores nothing: PoCL compiles branches with barriers wrongly
        int format = context.groupIdx < meta.get(0) ? meta.get(3) : AppendKernels.NONE;
        int latent = meta.get(1);
        int rope = meta.get(2);
        int from = row * (latent + rope);
        int position = Math.max(visible.get(row) - 1, 0);
        float squares = 0f;
        for (int d = thread; d < latent; d += BLOCK) {
            float x = kv.get(from + d);
            squares += x * x;
        }
        float factor = 1f / TornadoMath.sqrt(sum(context, squares) / latent + EPS);
        int normed = format == AppendKernels.NONE ? 0 : latent;
        for (int d = thread; d < normed; d += BLOCK) {
            rows.set(from + d, Float.floatToRawIntBits(kv.get(from + d) * factor * gain.get(d)));
        }
        int half = rope / 2;
        int pairs = format == AppendKernels.NONE ? 0 : half;
        int distance = meta.get(5) > 0 ? 1 : half;
        for (int pair = thread; pair < pairs; pair += BLOCK) {
            int i = from + latent + pair * (1 + meta.get(5));
            float x = kv.get(i);
            float y = kv.get(i + distance);
            float cos = angles.get(position * rope + pair);
            float sin = angles.get(position * rope + half + pair);
            rows.set(i, Float.floatToRawIntBits(x * cos - y * sin));
            rows.set(i + distance, Float.floatToRawIntBits(y * cos + x * sin));
        }
        // what was stored as floats is read as ints from here on
        context.globalBarrier();
        int slot = AppendKernels.slot(tables, row * meta.get(4), position);
        AppendKernels.storePlain(context, rows, from, format, latent, rope, slot, bits, floats);
        int scale = AppendKernels.scale(context, rows, from, format, latent, 0);
        AppendKernels.storeCodes(context, rows, from, format, latent, rope, scale, slot, bits, floats);
    }

    /**
     * The lightning indexer's cached key of each token (arXiv 2512.02556, section 2.1):
     * {@code RoPE(LayerNorm(k))}, rotated by Hadamard's matrix where that is asked for, stored in the slot of the last
     * token that the row sees. RoPE turns the first {@code rope} values. One block a row.
     *
     * @param meta rows, dim, rope, format, row stride of the page tables, 1 where RoPE's pairs are (2i, 2i+1) and 0
     *     where they are (i, i + rope/2), 1 for Hadamard's rotation
     * @param visible {@code [rows]}: how many tokens a row sees, itself the last
     * @param tables {@code [rows, stride]}: pages of a row's sequence
     * @param k {@code [rows, dim]}
     * @param gain {@code [dim]}
     * @param bias {@code [dim]}
     * @param angles {@code [positions, rope]}
     * @param rows {@code [rows, dim]}: bits of what is cached, before it is rounded
     * @param bits the cache in bf16 or FP8
     * @param floats the cache in f32, or the scales of FP8
     */
    public static void kIndexKeys(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray tables,
            FloatArray k,
            FloatArray gain,
            FloatArray bias,
            FloatArray angles,
            IntArray rows,
            IntArray bits,
            FloatArray floats) {
        float[] key = context.allocateFloatLocalArray(128);
        int row = Math.min(context.groupIdx, Math.max(meta.get(0) - 1, 0));
        int thread = context.localIdx;
        int format = context.groupIdx < meta.get(0) ? meta.get(3) : AppendKernels.NONE;
        int dim = meta.get(1);
        int rope = meta.get(2);
        int from = row * dim;
        int position = Math.max(visible.get(row) - 1, 0);
        int d = Math.min(thread, dim - 1); // a value for each thread; those beyond the key go through and do not count
        float x = k.get(from + d);
        float mean = sum(context, thread < dim ? x : 0f) / dim;
        float centred = x - mean;
        float variance = sum(context, thread < dim ? centred * centred : 0f) / dim;
        float factor = 1f / TornadoMath.sqrt(variance + EPS);
        key[thread] = centred * factor * gain.get(d) + bias.get(d);
        context.localBarrier();
        int half = rope / 2;
        if (thread < half) {
            int i = thread * (1 + meta.get(5));
            int j = i + (meta.get(5) > 0 ? 1 : half);
            float a = key[i];
            float b = key[j];
            float cos = angles.get(position * rope + thread);
            float sin = angles.get(position * rope + half + thread);
            key[i] = a * cos - b * sin;
            key[j] = b * cos + a * sin;
        }
        context.localBarrier();
        float value = hadamard(context, key[thread], meta.get(6) > 0 ? dim : 1);
        int stored = format == AppendKernels.NONE ? 0 : dim;
        if (thread < stored) {
            rows.set(from + thread, Float.floatToRawIntBits(value));
        }
        // what was stored as floats is read as ints from here on
        context.globalBarrier();
        int slot = AppendKernels.slot(tables, row * meta.get(4), position);
        AppendKernels.storePlain(context, rows, from, format, dim, 0, slot, bits, floats);
        int scale = AppendKernels.scale(context, rows, from, format, dim, 1);
        AppendKernels.storeCodes(context, rows, from, format, dim, 0, scale, slot, bits, floats);
    }

    /**
     * RoPE of the values {@code [first, first + rope)} of every head of queries, in place. A thread for each pair.
     *
     * @param meta rows, heads, width of a head, first, rope, 1 where RoPE's pairs are (2i, 2i+1) and 0 where they are
     *     (i, i + rope/2)
     * @param visible {@code [rows]}: how many tokens a row sees, itself the last
     * @param angles {@code [positions, rope]}
     * @param q {@code [rows, heads, width]}
     */
    public static void kRotate(
            KernelContext context, IntArray meta, IntArray visible, FloatArray angles, FloatArray q) {
        int heads = meta.get(1);
        int rope = meta.get(4);
        int half = rope / 2;
        int pair = context.globalIdx % half;
        int head = context.globalIdx / half;
        if (head < meta.get(0) * heads) {
            int position = visible.get(head / heads) - 1;
            int i = head * meta.get(2) + meta.get(3) + pair * (1 + meta.get(5));
            int j = i + (meta.get(5) > 0 ? 1 : half);
            float x = q.get(i);
            float y = q.get(j);
            float cos = angles.get(position * rope + pair);
            float sin = angles.get(position * rope + half + pair);
            q.set(i, x * cos - y * sin);
            q.set(j, y * cos + x * sin);
        }
    }

    /**
     * {@code q = H q / sqrt(width)} for every head of queries, in place: Hadamard's rotation. One block a head.
     *
     * @param meta rows, heads, width of a head, a power of two
     * @param q {@code [rows, heads, width]}
     */
    public static void kHadamard(KernelContext context, IntArray meta, FloatArray q) {
        int width = meta.get(2);
        int thread = context.localIdx;
        int heads = meta.get(0) * meta.get(1);
        int head = Math.min(context.groupIdx, Math.max(heads - 1, 0));
        int at = head * width + Math.min(thread, width - 1);
        float rotated = hadamard(context, q.get(at), width);
        int stored = context.groupIdx < heads ? width : 0;
        if (thread < stored) {
            q.set(at, rotated);
        }
    }
}
