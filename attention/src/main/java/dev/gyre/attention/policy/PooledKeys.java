package dev.gyre.attention.policy;

import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.attention.cache.PageTable;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Map;
import java.util.WeakHashMap;

/**
 * The mean index key of every complete block of a sequence's tokens, in one layer. A mean is kept until one of its
 * pages is another one or was written to, so that a decode step computes one only when it completes a block.
 */
final class PooledKeys {
    private final int pagesOfBlock;
    private IndexKeyCache means;
    private final PageTable table = new PageTable();
    /** {@code [blocks, pages of a block]}: what the means were made of. */
    private int[] pages = new int[0];
    private int[] versions = new int[0];
    private int blocks;
    private final float[] key;
    private final double[] sum;

    private PooledKeys(int dim, int block) {
        pagesOfBlock = block / PageTable.PAGE;
        means = IndexKeyCache.onHeap(dim, PageTable.PAGE);
        table.append(0);
        key = new float[dim];
        sum = new double[dim];
    }

    /** The pooled keys of all sequences in all layers; those that nobody uses any more vanish. */
    static final class Cache {
        private final int block;
        private final Map<IndexKeyCache, Map<PageTable, PooledKeys>> layers = new WeakHashMap<>();

        /** @param block tokens of a block, a multiple of a page */
        Cache(int block) {
            this.block = block;
        }

        /** Those of a sequence in a layer, right for its first {@code visible} tokens. */
        PooledKeys of(IndexKeyCache keys, PageTable sequence, int visible) {
            PooledKeys pooled = layers.computeIfAbsent(keys, layer -> new WeakHashMap<>())
                    .computeIfAbsent(sequence, any -> new PooledKeys(keys.dim(), block));
            pooled.update(keys, sequence, visible / block);
            return pooled;
        }
    }

    /** A view of one token for rows that are there so that others keep their numbers; nobody scores it. */
    static PageTable nothing() {
        PageTable table = new PageTable();
        table.append(0);
        return table;
    }

    /** The means, block by block. */
    IndexKeyCache means() {
        return means;
    }

    /** Where they lie. */
    PageTable table() {
        return table;
    }

    private void update(IndexKeyCache keys, PageTable sequence, int wanted) {
        reserve(wanted);
        for (int block = 0; block < wanted; block++) {
            if (block >= blocks || isStale(keys, sequence, block)) {
                pool(keys, sequence, block);
            }
        }
        blocks = Math.max(blocks, wanted);
    }

    private boolean isStale(IndexKeyCache keys, PageTable sequence, int block) {
        for (int i = block * pagesOfBlock; i < (block + 1) * pagesOfBlock; i++) {
            int page = sequence.page(i);
            if (pages[i] != page || versions[i] != keys.version(page)) {
                return true;
            }
        }
        return false;
    }

    private void pool(IndexKeyCache keys, PageTable sequence, int block) {
        Arrays.fill(sum, 0);
        for (int i = block * pagesOfBlock; i < (block + 1) * pagesOfBlock; i++) {
            int page = sequence.page(i);
            pages[i] = page;
            versions[i] = keys.version(page);
            for (int slot = page * PageTable.PAGE; slot < (page + 1) * PageTable.PAGE; slot++) {
                keys.read(slot, key, 0);
                for (int d = 0; d < key.length; d++) {
                    sum[d] += key[d];
                }
            }
        }
        for (int d = 0; d < key.length; d++) {
            key[d] = (float) (sum[d] / (pagesOfBlock * PageTable.PAGE));
        }
        means.write(block, key, 0);
    }

    private void reserve(int wanted) {
        if (wanted > means.slots()) {
            int slots = Math.ceilDiv(Math.max(wanted, 2 * means.slots()), PageTable.PAGE) * PageTable.PAGE;
            IndexKeyCache larger = IndexKeyCache.onHeap(means.dim(), slots);
            MemorySegment.copy(means.segment(), 0, larger.segment(), 0, means.segment().byteSize());
            means = larger;
            while (table.capacity() < slots) {
                table.append(table.count());
            }
        }
        if (wanted * pagesOfBlock > pages.length) {
            pages = Arrays.copyOf(pages, means.slots() * pagesOfBlock);
            versions = Arrays.copyOf(versions, pages.length);
        }
    }
}
