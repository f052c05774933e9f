package dev.gyre.tornado;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;
import dev.gyre.attention.backend.Resources;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;

import org.junit.jupiter.api.Assumptions;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** Sequences in a one-layer cache whose pages interleave in no order, with NaN in every slot that holds no token. */
final class Scene implements AutoCloseable {
    final KvCache cache;
    final List<PageTable> tables = new ArrayList<>();
    final int[] lengths;

    Scene(CacheShape shape, CacheDtype dtype, int... lengths) {
        this.lengths = lengths;
        int pages = 3;
        for (int length : lengths) {
            pages += Math.ceilDiv(length, PageTable.PAGE);
        }
        cache = new KvCache(1, shape, dtype, pages * PageTable.PAGE);
        List<PageTable> single = new ArrayList<>();
        for (int i = 0; i < pages; i++) {
            single.add(new PageTable());
            cache.pool().reserve(single.get(i), 1);
        }
        Collections.shuffle(single, new Random(pages));
        single.forEach(cache.pool()::release);
        // all ones is NaN as f32, as bf16, as e4m3 and as a scale
        cache.latents(0).segment().fill((byte) -1);
        cache.latents(0).markAllWritten();
        if (shape.index() > 0) {
            cache.indexKeys(0).segment().fill((byte) -1);
            cache.indexKeys(0).markAllWritten();
        }
        for (int i = 0; i < lengths.length; i++) {
            PageTable table = new PageTable();
            cache.pool().reserve(table, lengths[i]);
            cache.randomize(table, 0, lengths[i], 100 + i);
            tables.add(table);
        }
    }

    /** The last {@code count} tokens of every sequence; what is before them is a prefix. */
    QueryRows last(int count) {
        QueryRows rows = new QueryRows();
        for (int i = 0; i < lengths.length; i++) {
            rows.add(tables.get(i), Math.max(0, lengths[i] - count), lengths[i]);
        }
        return rows;
    }

    @Override
    public void close() {
        cache.close();
    }

    static float[] normal(Random random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /** The provider of that name; skips the test where it is not available. */
    static AttentionProvider provider(String name) {
        AttentionProvider provider = Providers.load().all().stream()
                .filter(candidate -> candidate.name().equals(name))
                .findFirst()
                .orElseThrow();
        Assumptions.assumeTrue(provider.missing().isEmpty(), () -> name + ": " + provider.missing().orElse(""));
        assertEquals(name, Providers.load().choose(Phase.DECODE, name).name());
        return provider;
    }

    /** Whether the device of these tests is one of CUDA's. */
    static boolean hasTensorCores() {
        return Devices.preferred().backend().equals("CUDA");
    }

    static Resources resources(WorkerPool pool) {
        return Resources.of(pool);
    }

    /** The largest difference relative to the largest magnitude that is expected; NaN where one is found. */
    static double difference(float[] expected, float[] found, int from, int to) {
        double largest = 0;
        double difference = 0;
        for (int i = from; i < to; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            double d = Math.abs((double) expected[i] - found[i]);
            difference = d <= difference ? difference : d;
        }
        return largest == 0 ? difference : difference / largest;
    }

    static void assertClose(float[] expected, float[] found, int from, int to, double tolerance, String where) {
        double difference = difference(expected, found, from, to);
        if (!(difference <= tolerance)) {
            assertEquals(0, difference, tolerance, where);
        }
    }
}
