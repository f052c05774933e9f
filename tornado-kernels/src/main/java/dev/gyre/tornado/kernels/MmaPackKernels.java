package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** What brings a decoder's queries and FP8 latents into the forms that attention on tensor cores takes. */
public final class MmaPackKernels {
    /** Threads of a block. */
    public static final int BLOCK = 128;
    /** Bytes of local memory of {@link #kPackIndex}. */
    public static final int PACK_BYTES = 2 * Block.FLOAT_MAX_BYTES;
    /** Ints of an FP8 latent row: 512 codes, then 64 numbers in bf16. */
    private static final int ROW_INTS = 160;

    private MmaPackKernels() {}

    /**
     * Index queries as {@link MmaScoreKernels#kScores} reads them: of each head whole numbers up to 2048, relative to its
     * largest; what that takes away goes into the head's weight. A block serves two heads of a row.
     *
     * @param meta rows
     * @param q {@code [rows, 64, 128]}
     * @param w {@code [rows, 64]}
     * @param halves {@link SplitKernels#halves()}
     * @param packed as {@link MmaScoreKernels#pack} orders them
     * @param weights {@code [rows, 64]}
     */
    public static void kPackIndex(
            KernelContext context,
            IntArray meta,
            FloatArray q,
            FloatArray w,
            IntArray halves,
            IntArray packed,
            FloatArray weights) {
        int d = context.localIdx;
        int items = meta.get(0) * 32;
        int place = d / 16 * 512 + (d % 16 / 4 * 4 + d % 2 * 2 + d % 4 / 2) * 4;
        for (int item = context.groupIdx; item < items; item += context.globalGroupSizeX / 128) {
            int pair = item % 32;
            float even = q.get(item * 256 + d);
            float odd = q.get(item * 256 + 128 + d);
            float mostEven = Block.max(context, TornadoMath.max(even, -even));
            float mostOdd = Block.max(context, TornadoMath.max(odd, -odd));
            packed.set(item / 32 * 4096 + place + pair / 4 * 64 + pair % 4,
                    half(halves, even, mostEven) | (half(halves, odd, mostOdd) << 16));
            if (d == 0) {
                weights.set(item * 2, w.get(item * 2) * mostEven / 2048f);
                weights.set(item * 2 + 1, w.get(item * 2 + 1) * mostOdd / 2048f);
            }
        }
    }

    /** A number as the f16 of a whole one, relative to the largest. */
    private static int half(IntArray halves, float value, float most) {
        float scaled = most > 0f ? value / most * 2048f : 0f;
        int whole = (int) (scaled + (scaled < 0f ? -0.5f : 0.5f));
        return halves.get(Math.min(Math.max(whole, -2048), 2048) + 2048);
    }

    /**
     * The selected latents of FP8 caches one behind the other in bf16, as FlashMLA reads them too; a thread brings four
     * numbers or two.
     *
     * @param meta rows, k, slots of the cache
     * @param slots {@code [rows, k]}
     * @param codes {@code [slots, 160]}: 512 codes, then 64 numbers in bf16
     * @param scales {@code [slots, 4]}
     * @param places {@code [rows, k]}: where a latent lies; -1 where the slot is none
     * @param latents {@code [rows, k, 288]}: pairs of bf16
     */
    public static void kGather(
            KernelContext context,
            IntArray meta,
            IntArray slots,
            IntArray codes,
            FloatArray scales,
            FloatArray table,
            IntArray places,
            IntArray latents) {
        int limit = meta.get(2);
        int count = meta.get(0) * meta.get(1) * ROW_INTS;
        for (int i = context.globalIdx; i < count; i += context.globalGroupSizeX) {
            int token = i / ROW_INTS;
            int j = i % ROW_INTS;
            int slot = slots.get(token);
            int valid = slot < limit ? slot : -1;
            int from = Math.max(valid, 0);
            int four = codes.get(Decode.LEAD + from * ROW_INTS + j);
            float scale = scales.get(from * 4 + Math.min(j / 32, 3));
            int to = Decode.LEAD + token * 288;
            if (j < 128) {
                latents.set(to + 2 * j, MmaMlaKernels.bf16Pair(
                        table.get(four & 255) * scale, table.get((four >> 8) & 255) * scale));
                latents.set(to + 2 * j + 1, MmaMlaKernels.bf16Pair(
                        table.get((four >> 16) & 255) * scale, table.get((four >> 24) & 255) * scale));
            } else {
                latents.set(to + 128 + j, four);
            }
            if (j == 0) {
                places.set(token, valid < 0 ? -1 : token);
            }
        }
    }
}
