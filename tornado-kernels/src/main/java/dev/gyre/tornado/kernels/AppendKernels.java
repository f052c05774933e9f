package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Rows of f32 numbers into a paged cache on the device, in the layouts that {@link Decode} reads; bit by bit what
 * LatentCache and IndexKeyCache store on the host. Rows come as bits, since {@link Encode} needs them as ints.
 */
public final class AppendKernels {
    /** Threads of a block, which stores one row, each four FP8 codes: MlaKernels.MOST_LATENT of them. */
    public static final int BLOCK = 128;
    /** Threads, and so ints, of a tile that shares a scale. */
    private static final int TILE = Decode.TILE / 4;
    /** Bytes of local memory. */
    public static final int LOCAL_BYTES = BLOCK * Integer.BYTES;
    /** The format of a block that has no row; it comes by all barriers and stores nothing. */
    static final int NONE = -1;

    private AppendKernels() {}

    /** The cache slot of a position of the row whose pages begin at {@code pages}. */
    static int slot(IntArray tables, int pages, int position) {
        return tables.get(pages + position / 64) * 64 + position % 64;
    }

    /**
     * What of a row is stored as it is or as bf16: all of it, but for the codes of FP8. By all threads of the block,
     * for whom the row must be there (a barrier since it was written).
     *
     * @param rows f32 bits, of which those from {@code from} on are stored
     * @param format of the cache: {@link Decode#F32} and so on; {@link #NONE} where there is no row to store
     * @param coded values that FP8 stores as codes: a latent or a whole index key
     * @param plain values behind them that it stores as bf16: a rotary key
     */
    static void storePlain(
            KernelContext context,
            IntArray rows,
            int from,
            int format,
            int coded,
            int plain,
            int slot,
            IntArray bits,
            FloatArray floats) {
        int width = coded + plain;
        int wide = format == Decode.F32 ? width : 0;
        for (int i = context.localIdx; i < wide; i += BLOCK) {
            floats.set(slot * width + i, Float.intBitsToFloat(rows.get(from + i)));
        }
        int skipped = format == Decode.FP8 ? coded : 0;
        int pairs = format == Decode.F32 ? 0 : format == NONE ? 0 : (width - skipped) / 2;
        int at = Decode.LEAD + slot * (skipped / 4 + pairs) + skipped / 4;
        for (int i = context.localIdx; i < pairs; i += BLOCK) {
            int pair = from + skipped + 2 * i;
            bits.set(at + i, Encode.bf16Pair(rows.get(pair), rows.get(pair + 1)));
        }
    }

    /**
     * Bits of the scale of the FP8 tile that the thread has four values of; in other formats of none. By all threads of
     * the block, as above.
     *
     * @param coded values that are stored as codes; a multiple of 4
     * @param key 1 where the scales are those of index keys, powers of two; 0 where they are those of latents
     */
    static int scale(KernelContext context, IntArray rows, int from, int format, int coded, int key) {
        // not the caller's array: TornadoVM 5.2 takes bytes for elements where a local array is a parameter
        int[] highest = context.allocateIntLocalArray(128);
        int thread = context.localIdx;
        int end = Math.min(thread * 4 + 4, format == Decode.FP8 ? coded : 0);
        int mine = 0;
        for (int i = thread * 4; i < end; i++) {
            mine = Math.max(mine, rows.get(from + i) & 0x7fffffff); // magnitudes are in the order of their bits
        }
        highest[thread] = mine;
        context.localBarrier();
        for (int half = TILE / 2; half > 0; half = half / 2) {
            if (thread % TILE < half) {
                highest[thread] = Math.max(highest[thread], highest[thread + half]);
            }
            context.localBarrier();
        }
        return Encode.scale(highest[thread / TILE * TILE], key);
    }

    /**
     * What of a row FP8 stores as codes, {@code value / scale}, and the scales; nothing in other formats. (Apart from
     * {@link #scale} so that TornadoVM takes both: it inlines helpers of up to 600 nodes.)
     *
     * @param scale as {@link #scale} found it
     */
    static void storeCodes(
            KernelContext context,
            IntArray rows,
            int from,
            int format,
            int coded,
            int plain,
            int scale,
            int slot,
            IntArray bits,
            FloatArray floats) {
        int thread = context.localIdx;
        int limit = format == Decode.FP8 ? coded : 0;
        if (thread * 4 < limit) {
            int four = 0;
            for (int i = 0; i < 4; i++) {
                four |= Encode.fp8(Encode.quotient(rows.get(from + thread * 4 + i), scale)) << (8 * i);
            }
            bits.set(Decode.LEAD + slot * (coded / 4 + plain / 2) + thread, four);
            if (thread % TILE == 0) {
                int tiles = (coded + Decode.TILE - 1) / Decode.TILE;
                floats.set(slot * tiles + thread / TILE, Float.intBitsToFloat(scale));
            }
        }
    }

    /**
     * Stores each row in the slot of the last token that it sees, as Ops.append does. One block a row.
     *
     * @param meta rows, coded, plain, format, row stride of the page tables, 1 for index keys and 0 for latents
     * @param visible {@code [rows]}: how many tokens a row sees, itself the last
     * @param tables {@code [rows, stride]}: pages of a row's sequence
     * @param rows {@code [rows, coded + plain]}: bits of f32
     * @param bits the cache in bf16 or FP8
     * @param floats the cache in f32, or the scales of FP8
     */
    public static void kAppend(
            KernelContext context,
            IntArray meta,
            IntArray visible,
            IntArray tables,
            IntArray rows,
            IntArray bits,
            FloatArray floats) {
        int row = Math.min(context.groupIdx, Math.max(meta.get(0) - 1, 0));
        int format = context.groupIdx < meta.get(0) ? meta.get(3) : NONE;
        int coded = meta.get(1);
        int plain = meta.get(2);
        int from = row * (coded + plain);
        int slot = slot(tables, row * meta.get(4), Math.max(visible.get(row) - 1, 0));
        storePlain(context, rows, from, format, coded, plain, slot, bits, floats);
        int scale = scale(context, rows, from, format, coded, meta.get(5));
        storeCodes(context, rows, from, format, coded, plain, scale, slot, bits, floats);
    }
}
