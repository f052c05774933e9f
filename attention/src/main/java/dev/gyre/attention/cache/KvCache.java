package dev.gyre.attention.cache;

import dev.gyre.attention.EngineException;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * The caches of all layers, off the Java heap, one segment a layer and kind (never one array over all layers: a row
 * number times 576 overflows an int above row 3.7 million).
 */
public final class KvCache implements AutoCloseable {
    private final Arena arena = Arena.ofShared();
    private final List<LatentCache> latents = new ArrayList<>();
    private final List<IndexKeyCache> indexKeys = new ArrayList<>();
    private final List<Runnable> closing = new ArrayList<>();
    private final PagePool pool;

    /**
     * @param shape what a token needs in a layer; {@code shape.index() == 0} leaves the index keys out
     * @param tokens how many tokens there must be room for, over all sequences, each rounded up to whole pages
     */
    public KvCache(int layers, CacheShape shape, CacheDtype dtype, int tokens) {
        int pages = Math.ceilDiv(tokens, PageTable.PAGE);
        int slots = Math.multiplyExact(pages, PageTable.PAGE);
        pool = new PagePool(pages);
        try {
            for (int layer = 0; layer < layers; layer++) {
                MemorySegment rows = allocate(slots, shape.latentBytes(dtype));
                latents.add(new LatentCache(shape, dtype, rows, slots, new Changes(slots, closing)));
                if (shape.index() > 0) {
                    MemorySegment keys = allocate(slots, shape.indexBytes(dtype));
                    indexKeys.add(new IndexKeyCache(shape, dtype, keys, slots, new Changes(slots, closing)));
                }
            }
        } catch (OutOfMemoryError e) {
            arena.close();
            long bytes = Math.multiplyExact((long) slots, bytesPerToken(layers, shape, dtype));
            throw new EngineException("the KV cache needs " + bytes + " bytes and the machine does not have them free; "
                    + "use a shorter --context-length or a smaller --kv-cache-dtype.", e);
        }
    }

    /** Bytes that one token takes in the caches of all layers. */
    public static long bytesPerToken(int layers, CacheShape shape, CacheDtype dtype) {
        return Math.multiplyExact((long) layers, shape.latentBytes(dtype) + shape.indexBytes(dtype));
    }

    /** The pages that sequences take theirs from. */
    public PagePool pool() {
        return pool;
    }

    /** A layer's latents. */
    public LatentCache latents(int layer) {
        return latents.get(layer);
    }

    /** A layer's index keys; only where the model has an indexer. */
    public IndexKeyCache indexKeys(int layer) {
        return indexKeys.get(layer);
    }

    /** Makes a page, in every layer, what another one is. */
    void copyPage(int from, int to) {
        latents.forEach(cache -> cache.copyPage(from, to));
        indexKeys.forEach(cache -> cache.copyPage(from, to));
    }

    /**
     * Writes random normal numbers as the latents and index keys of tokens [from, to) of a sequence, in every layer.
     */
    public void randomize(PageTable table, int from, int to, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        for (LatentCache cache : latents) {
            float[] row = new float[cache.shape().width()];
            for (int position = from; position < to; position++) {
                fill(row, random);
                cache.write(table.slot(position), row, 0);
            }
        }
        for (IndexKeyCache cache : indexKeys) {
            float[] key = new float[cache.dim()];
            for (int position = from; position < to; position++) {
                fill(key, random);
                cache.write(table.slot(position), key, 0);
            }
        }
    }

    private static void fill(float[] values, SplittableRandom random) {
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
    }

    /** Frees the memory, after those who asked were told; sequences on these pages are void. */
    @Override
    public void close() {
        Throwable failure = null;
        for (Runnable action : closing) {
            try {
                action.run();
            } catch (RuntimeException | Error e) {
                // one copy that cannot be given up must not keep the others, nor the memory
                failure = failure == null ? e : failure;
            }
        }
        closing.clear();
        arena.close();
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure != null) {
            throw (RuntimeException) failure;
        }
    }

    private MemorySegment allocate(int slots, int bytes) {
        return arena.allocate(Math.multiplyExact((long) slots, (long) bytes), 64);
    }
}
