package dev.gyre.attention.hisparse;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.LatentCache;
import dev.gyre.attention.cache.PageTable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * The hot latents of a layer: {@code [sequences, hot tokens]} rows of the store's own layout, in memory. There are as
 * many sequences as ever ran at once; the rows of one that has ended go to the next that comes.
 */
final class HotLayer implements WorkerPool.Task {
    /** Rows that a thread copies at a time. */
    private static final int BATCH = 32;

    private final LatentCache store;
    private final int hotTokens;
    private final List<HotSequence> sequences = new ArrayList<>();
    private final Map<PageTable, HotSequence> byTable = new IdentityHashMap<>();
    private Arena arena;
    private LatentCache hot;
    /** What is to be copied: slots of the store, and the hot rows where they go. */
    private int[] from = new int[BATCH];
    private int[] to = new int[BATCH];
    private int fetches;
    private long group;

    HotLayer(LatentCache store, int hotTokens) {
        this.store = store;
        this.hotTokens = Math.min(hotTokens, store.slots());
    }

    /** The hot rows of a sequence. */
    HotSequence sequence(PageTable table) {
        HotSequence known = byTable.get(table);
        if (known == null) {
            known = sequences.stream().filter(HotSequence::isFree).findFirst().orElseGet(this::grow);
            byTable.remove(known.table());
            known.start(table);
            byTable.put(table, known);
        }
        return known;
    }

    private HotSequence grow() {
        int base = Math.multiplyExact(sequences.size(), hotTokens);
        if (hot == null || hot.slots() == base) {
            reallocate(Math.multiplyExact(Math.max(1, 2 * sequences.size()), hotTokens));
        }
        HotSequence sequence = new HotSequence(hotTokens, base);
        sequences.add(sequence);
        return sequence;
    }

    private void reallocate(int rows) {
        Arena larger = Arena.ofShared();
        LatentCache grown;
        try {
            grown = store.like(rows, larger);
        } catch (OutOfMemoryError e) {
            larger.close();
            throw new EngineException("the hot latents of " + rows / hotTokens + " sequences need "
                    + rows * store.rowBytes() + " bytes in a layer and the machine does not have them free; use fewer --hisparse-hot-tokens.", e);
        }
        if (hot != null) {
            MemorySegment.copy(hot.segment(), 0, grown.segment(), 0, hot.segment().byteSize());
            arena.close();
        }
        arena = larger;
        hot = grown;
    }

    /** Nothing is hot any more, and nothing asked for. */
    void forget() {
        sequences.forEach(HotSequence::forget);
        fetches = 0;
    }

    /** The rows. */
    LatentCache rows() {
        return hot;
    }

    /** A number for rows that are attended together, whichever phase they belong to. */
    long nextGroup() {
        return ++group;
    }

    /** Asks for a row, which is there after {@link #fetch}. */
    void wants(int slot, int row) {
        if (fetches == from.length) {
            from = Arrays.copyOf(from, fetches * 2);
            to = Arrays.copyOf(to, fetches * 2);
        }
        from[fetches] = slot;
        to[fetches++] = row;
    }

    /** Copies the rows that were asked for. */
    void fetch(WorkerPool pool) {
        if (fetches > 0) {
            pool.run(Math.ceilDiv(fetches, BATCH), this);
            fetches = 0;
        }
    }

    @Override
    public void run(int index, int worker) {
        long bytes = store.rowBytes();
        int end = Math.min(fetches, (index + 1) * BATCH);
        for (int i = index * BATCH; i < end; i++) {
            MemorySegment.copy(store.segment(), from[i] * bytes, hot.segment(), to[i] * bytes, bytes);
        }
    }

    void close() {
        if (arena != null) {
            arena.close();
        }
    }
}
