package dev.gyre.attention;

import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * Sequences in a one-layer cache as a long-running server leaves it: the pages of all sequences interleave in no order,
 * and every slot that no token lies in is NaN in every dtype.
 */
public final class Scene implements AutoCloseable {
    /** One layer. */
    public final KvCache cache;
    /** Of the sequences. */
    public final List<PageTable> tables = new ArrayList<>();
    private final int[] lengths;

    /** @param lengths tokens of the sequences */
    public Scene(CacheShape shape, CacheDtype dtype, int... lengths) {
        this.lengths = lengths;
        int pages = 3;
        for (int length : lengths) {
            pages += Math.ceilDiv(length, PageTable.PAGE);
        }
        cache = new KvCache(1, shape, dtype, pages * PageTable.PAGE);
        shufflePages(pages);
        // all ones is NaN as f32, as bf16, as e4m3 and as a scale
        cache.latents(0).segment().fill((byte) -1);
        if (shape.index() > 0) {
            cache.indexKeys(0).segment().fill((byte) -1);
        }
        for (int i = 0; i < lengths.length; i++) {
            tables.add(new PageTable());
        }
        boolean growing = true;
        while (growing) {
            growing = false;
            for (int i = 0; i < lengths.length; i++) {
                PageTable table = tables.get(i);
                if (table.capacity() < lengths[i]) {
                    cache.pool().reserve(table, Math.min(lengths[i], table.capacity() + PageTable.PAGE));
                    growing = true;
                }
            }
        }
        for (int i = 0; i < lengths.length; i++) {
            cache.randomize(tables.get(i), 0, lengths[i], 100 + i);
        }
    }

    private void shufflePages(int pages) {
        List<PageTable> single = new ArrayList<>();
        for (int i = 0; i < pages; i++) {
            single.add(new PageTable());
            cache.pool().reserve(single.get(i), 1);
        }
        Collections.shuffle(single, new Random(pages));
        single.forEach(cache.pool()::release);
    }

    /** The last {@code count} tokens of every sequence, or all where it has fewer; what is before them is a prefix. */
    public QueryRows last(int count) {
        QueryRows rows = new QueryRows();
        for (int i = 0; i < lengths.length; i++) {
            rows.add(tables.get(i), Math.max(0, lengths[i] - count), lengths[i]);
        }
        return rows;
    }

    /** A row of other rows, on its own. */
    public static QueryRows alone(QueryRows rows, int row) {
        QueryRows one = new QueryRows();
        one.add(rows.table(row), rows.position(row), rows.visible(row));
        return one;
    }

    @Override
    public void close() {
        cache.close();
    }
}
