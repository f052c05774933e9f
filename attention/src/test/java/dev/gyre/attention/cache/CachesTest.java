package dev.gyre.attention.cache;

import static dev.gyre.attention.Randoms.normal;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

class CachesTest {
    private static final CacheShape V32 = new CacheShape(512, 64, 128);

    @Test
    void bytesPerTokenAreTheFieldsLayouts() {
        assertEquals(1152, V32.latentBytes(CacheDtype.BF16));
        assertEquals(656, V32.latentBytes(CacheDtype.FP8_E4M3));
        assertEquals(132, V32.indexBytes(CacheDtype.FP8_E4M3));
        assertEquals(61 * (656 + 132), KvCache.bytesPerToken(Collections.nCopies(61, V32), CacheDtype.FP8_E4M3));
    }

    /** What was written comes back, rounded as the dtype rounds, and neighbours stay as they were. */
    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void rowsRoundTrip(CacheDtype dtype) {
        for (CacheShape shape : new CacheShape[] {V32, new CacheShape(200, 6, 130), new CacheShape(7, 2, 5)}) {
            try (KvCache cache = new KvCache(2, shape, dtype, 200)) {
                Random random = new Random(3);
                LatentCache latents = cache.latents(1);
                IndexKeyCache keys = cache.indexKeys(1);
                assertEquals(256, latents.slots());
                float[][] rows = new float[256][];
                float[][] keyRows = new float[256][];
                for (int slot = 255; slot >= 0; slot--) {
                    rows[slot] = normal(random, shape.width() + 3);
                    keyRows[slot] = normal(random, shape.index() + 3);
                    latents.write(slot, rows[slot], 3);
                    keys.write(slot, keyRows[slot], 3);
                }
                float relative = dtype == CacheDtype.F32 ? 0 : dtype == CacheDtype.BF16 ? 0x1p-8f : 0x1p-4f;
                for (int slot = 0; slot < 256; slot++) {
                    float[] row = new float[shape.width()];
                    latents.read(slot, row, 0);
                    assertClose(Arrays.copyOfRange(rows[slot], 3, rows[slot].length), row, relative);
                    float[] key = new float[shape.index()];
                    keys.read(slot, key, 0);
                    assertClose(Arrays.copyOfRange(keyRows[slot], 3, keyRows[slot].length), key, relative);
                }
            }
        }
    }

    /** 512 e4m3, four f32 scales of amax/448, 64 bf16, byte by byte. */
    @Test
    void fp8LatentLayout() {
        try (KvCache cache = new KvCache(1, V32, CacheDtype.FP8_E4M3, 64)) {
            float[] row = normal(new Random(5), 576);
            Arrays.fill(row, 128, 256, 0f); // a tile of zeros
            row[130] = Float.MIN_VALUE; // or of as good as zeros: a scale of 0 would make them NaN
            cache.latents(0).write(3, row, 0);
            MemorySegment bytes = cache.latents(0).segment().asSlice(3 * 656L, 656);
            for (int tile = 0; tile < 4; tile++) {
                float amax = Fp8Tile.amax(row, tile * 128, tile * 128 + 128);
                float scale = bytes.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 512 + tile * 4L);
                assertEquals(tile == 1 ? 1f : amax / 448f, scale);
                for (int i = tile * 128; i < tile * 128 + 128; i++) {
                    assertEquals(Fp8E4M3.encode(row[i] / scale), bytes.get(ValueLayout.JAVA_BYTE, i));
                }
            }
            for (int i = 0; i < 64; i++) {
                assertEquals(Bf16.encode(row[512 + i]), bytes.get(ValueLayout.JAVA_SHORT_UNALIGNED, 528 + i * 2L));
            }
        }
    }

    /** A page is 64 keys and then 64 scales; scales are powers of two. */
    @Test
    void fp8IndexKeyLayout() {
        try (KvCache cache = new KvCache(1, V32, CacheDtype.FP8_E4M3, 128)) {
            float[] key = normal(new Random(6), 128);
            int slot = 64 + 5;
            cache.indexKeys(0).write(slot, key, 0);
            MemorySegment page = cache.indexKeys(0).segment().asSlice(64 * 132L, 64 * 132L);
            float scale = page.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 64 * 128 + 5 * 4L);
            float amax = Fp8Tile.amax(key, 0, 128);
            assertEquals(Math.pow(2, Math.ceil(Math.log(amax / 448) / Math.log(2))), scale);
            for (int i = 0; i < 128; i++) {
                assertEquals(Fp8E4M3.encode(key[i] / scale), page.get(ValueLayout.JAVA_BYTE, 5 * 128L + i));
            }
        }
        assertEquals(1f, IndexKeyCache.scale(448f));
        assertEquals(2f, IndexKeyCache.scale(Math.nextUp(448f)));
        assertEquals(0x1p-22f, IndexKeyCache.scale(0f)); // from the least amax of 1e-4
    }

    @Test
    void pagesAreTakenAllOrNoneAndComeBack() {
        PagePool pool = new PagePool(5);
        PageTable first = new PageTable();
        PageTable second = new PageTable();
        pool.reserve(first, 129);
        pool.reserve(first, 130);
        assertEquals(3, first.count());
        assertThrows(EngineException.class, () -> pool.reserve(second, 3 * 64));
        assertEquals(0, second.count());
        pool.reserve(second, 128);
        assertEquals(0, pool.available());
        Set<Integer> slots = new HashSet<>();
        for (int position = 0; position < 129; position++) {
            assertTrue(slots.add(first.slot(position)));
        }
        for (int position = 0; position < 128; position++) {
            assertTrue(slots.add(second.slot(position)));
        }
        pool.release(first);
        pool.release(second);
        assertEquals(5, pool.available());
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void aWriteChangesTheVersionOfItsPage(CacheDtype dtype) {
        try (KvCache cache = new KvCache(2, new CacheShape(7, 2, 5), dtype, 200)) {
            LatentCache latents = cache.latents(0);
            IndexKeyCache keys = cache.indexKeys(0);
            for (int slot : new int[] {63, 128, 191, 128}) {
                latents.write(slot, new float[9], 0);
                keys.write(slot, new float[5], 0);
            }
            int[] expected = {1, 0, 3, 0};
            assertArrayEquals(expected, versions(latents::version));
            assertArrayEquals(expected, versions(keys::version));
            latents.markAllWritten();
            assertArrayEquals(new int[] {2, 1, 4, 1}, versions(latents::version));
            assertArrayEquals(expected, versions(keys::version));
            keys.markAllWritten();
            assertArrayEquals(new int[] {2, 1, 4, 1}, versions(keys::version));
            assertArrayEquals(new int[4], versions(cache.latents(1)::version));
        }
    }

    private static int[] versions(IntUnaryOperator version) {
        return IntStream.range(0, 4).map(version).toArray();
    }

    /** While the memory is still there, every one is told, whatever one of them throws. */
    @Test
    void closingTellsThoseWhoAsked() {
        KvCache cache = new KvCache(2, new CacheShape(7, 2, 5), CacheDtype.F32, 64);
        LatentCache latents = cache.latents(1);
        List<String> told = new ArrayList<>();
        latents.onClose(() -> {
            latents.read(0, new float[9], 0);
            told.add("latents");
            throw new IllegalStateException("first");
        });
        cache.indexKeys(0).onClose(() -> {
            told.add("keys");
            throw new AssertionError("second");
        });
        cache.latents(0).onClose(() -> told.add("last"));
        IllegalStateException failure = assertThrows(IllegalStateException.class, cache::close);
        assertEquals("first", failure.getMessage());
        assertEquals(List.of("latents", "keys", "last"), told);
        assertThrows(IllegalStateException.class, () -> latents.read(0, new float[9], 0)); // it is freed all the same
    }

    private static void assertClose(float[] expected, float[] found, float relative) {
        if (relative == 0) {
            assertArrayEquals(expected, found);
        }
        for (int i = 0; i < expected.length; i++) {
            assertEquals(expected[i], found[i], Math.abs(expected[i]) * relative + (relative == 0x1p-4f ? 1e-3f : 1e-7f));
        }
    }
}
