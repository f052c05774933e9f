package dev.gyre.attention.cache;

import dev.gyre.attention.EngineException;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;

/**
 * The caches of all layers, off the Java heap, one segment a layer and kind (never one array over all layers: a row
 * number times 576 overflows an int above row 3.7 million).
 */
public final class KvCache implements AutoCloseable {
    static final int ALIGNMENT = 64;

    private final Arena arena = Arena.ofShared();
    private final List<LatentCache> latents = new ArrayList<>();
    /** null where a layer has none. */
    private final List<IndexKeyCache> indexKeys = new ArrayList<>();
    private final List<Runnable> closing = new ArrayList<>();
    private final PagePool pool;
    /** Where the pages lie if not here. */
    private final RemotePages remote;

    /** Caches of layers that are all alike, as {@link #KvCache(List, CacheDtype, int)} makes them. */
    public KvCache(int layers, CacheShape shape, CacheDtype dtype, int tokens) {
        this(Collections.nCopies(layers, shape), dtype, tokens);
    }

    /** Caches in memory, as {@link #KvCache(List, CacheDtype, int, Path)} makes them. */
    public KvCache(List<CacheShape> layers, CacheDtype dtype, int tokens) {
        this(layers, dtype, tokens, null);
    }

    /**
     * @param layers what a token needs in each layer; one with {@code index() == 0} has no index keys
     * @param tokens how many tokens there must be room for, over all sequences, each rounded up to whole pages
     * @param latentDirectory where the latents are files; null for memory
     */
    public KvCache(List<CacheShape> layers, CacheDtype dtype, int tokens, Path latentDirectory) {
        int pages = Math.ceilDiv(tokens, PageTable.PAGE);
        int slots = Math.multiplyExact(pages, PageTable.PAGE);
        pool = new PagePool(pages);
        remote = null;
        try {
            if (latentDirectory != null) {
                FileMemory.checkSpace(latentDirectory, layers.stream()
                        .mapToLong(shape -> bytes(slots, shape.latentBytes(dtype)))
                        .reduce(0, Math::addExact));
            }
            for (CacheShape shape : layers) {
                MemorySegment rows = latentDirectory == null
                        ? allocate(slots, shape.latentBytes(dtype))
                        : FileMemory.map(latentDirectory, bytes(slots, shape.latentBytes(dtype)), arena);
                latents.add(new LatentCache(shape, dtype, rows, slots, new Changes(slots, closing)));
                indexKeys.add(shape.index() == 0 ? null : new IndexKeyCache(
                        shape, dtype, allocate(slots, shape.indexBytes(dtype)), slots, new Changes(slots, closing)));
            }
        } catch (EngineException e) {
            arena.close();
            throw e;
        } catch (OutOfMemoryError e) {
            arena.close();
            long bytes = Math.multiplyExact((long) slots, bytesPerToken(layers, dtype));
            throw new EngineException("the KV cache needs " + bytes + " bytes and the machine does not have them free; "
                    + "use a shorter --context-length or a smaller --kv-cache-dtype.", e);
        }
    }

    /**
     * Caches whose pages lie in the memory of a device: they are numbered here, and there is nothing of a layer to read.
     *
     * @param tokens how many tokens there is room for, a multiple of {@link PageTable#PAGE}
     */
    public KvCache(int tokens, RemotePages remote) {
        pool = new PagePool(tokens / PageTable.PAGE);
        this.remote = remote;
    }

    /** Bytes that one token takes in the caches of all layers. */
    public static long bytesPerToken(List<CacheShape> layers, CacheDtype dtype) {
        return layers.stream().mapToLong(shape -> shape.latentBytes(dtype) + shape.indexBytes(dtype)).sum();
    }

    /** The pages that sequences take theirs from. */
    public PagePool pool() {
        return pool;
    }

    /** A layer's latents. */
    public LatentCache latents(int layer) {
        return latents.get(layer);
    }

    /** A layer's index keys; null where it has none. */
    public IndexKeyCache indexKeys(int layer) {
        return indexKeys.get(layer);
    }

    /** Makes a page, in every layer, what another one is. */
    void copyPage(int from, int to) {
        if (remote != null) {
            remote.copy(from, to);
        }
        latents.forEach(cache -> cache.copyPage(from, to));
        indexKeys.stream().filter(Objects::nonNull).forEach(cache -> cache.copyPage(from, to));
    }

    /**
     * Writes random normal numbers as the latents and index keys of tokens [from, to) of a sequence, in every layer.
     */
    public void randomize(PageTable table, int from, int to, long seed) {
        if (remote != null) {
            for (int page = from / PageTable.PAGE; page * PageTable.PAGE < to; page++) {
                remote.draw(table.page(page), seed + page);
            }
        }
        SplittableRandom random = new SplittableRandom(seed);
        for (LatentCache cache : latents) {
            float[] row = new float[cache.shape().width()];
            for (int position = from; position < to; position++) {
                fill(row, random);
                cache.write(table.slot(position), row, 0);
            }
        }
        for (IndexKeyCache cache : indexKeys) {
            if (cache == null) {
                continue;
            }
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
        if (remote != null) {
            remote.close();
        }
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure != null) {
            throw (RuntimeException) failure;
        }
    }

    private MemorySegment allocate(int slots, int slotBytes) {
        return arena.allocate(bytes(slots, slotBytes), ALIGNMENT);
    }

    private static long bytes(int slots, int slotBytes) {
        return Math.multiplyExact((long) slots, (long) slotBytes);
    }
}
