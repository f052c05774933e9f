package dev.gyre.attention.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.cache.PrefixCache.Claim;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;

/** What sequences share, what they are promised, and what is given up first. */
class PrefixCacheTest {
    private static final int PAGE = PageTable.PAGE;
    private static final CacheShape SHAPE = new CacheShape(128, 4, 128);
    private static final int LAYERS = 2;

    private KvCache cache;
    private PrefixCache prefixes;

    private void open(int pages, CacheDtype dtype, boolean enabled) {
        cache = new KvCache(LAYERS, SHAPE, dtype, pages * PAGE);
        prefixes = new PrefixCache(cache, enabled);
    }

    private void open(int pages) {
        open(pages, CacheDtype.F32, true);
    }

    @AfterEach
    void close() {
        cache.close();
    }

    private static int[] text(int from, int count) {
        return IntStream.range(from, from + count).toArray();
    }

    /** A number that stands for a token and all before it, as latents do; exact in every dtype of a cache. */
    private static float meaning(int[] tokens, int position) {
        return Math.floorMod(Arrays.hashCode(Arrays.copyOf(tokens, position + 1)), 15) + 1;
    }

    private void run(Claim claim, int[] tokens, int from, int to) {
        prefixes.reserve(claim, to);
        for (int layer = 0; layer < LAYERS; layer++) {
            for (int position = from; position < to; position++) {
                float[] row = new float[SHAPE.width()];
                Arrays.fill(row, meaning(tokens, position) * (layer + 1));
                cache.latents(layer).write(claim.table().slot(position), row, 0);
                cache.indexKeys(layer).write(claim.table().slot(position), row, 0);
            }
        }
    }

    private void checkContent(Claim claim, int[] tokens, int length) {
        float[] row = new float[SHAPE.width()];
        for (int layer = 0; layer < LAYERS; layer++) {
            for (int position = 0; position < length; position++) {
                float expected = meaning(tokens, position) * (layer + 1);
                cache.latents(layer).read(claim.table().slot(position), row, 0);
                assertEquals(expected, row[0], 1e-5, "latent at " + position);
                assertEquals(expected, row[SHAPE.width() - 1], 1e-5, "rope at " + position);
                cache.indexKeys(layer).read(claim.table().slot(position), row, 0);
                assertEquals(expected, row[SHAPE.index() - 1], 1e-5, "index key at " + position);
            }
        }
    }

    /** Lets a text in, runs it to its end and lets it go; how much of it was found. */
    private int serve(int[] tokens) {
        Claim claim = prefixes.claim(tokens, tokens.length - 1, tokens.length);
        run(claim, tokens, claim.reused(), tokens.length);
        checkContent(claim, tokens, tokens.length);
        prefixes.release(claim, tokens, tokens.length);
        assertEquals(0, prefixes.pagesInUse());
        return claim.reused();
    }

    private static int[] join(int[] first, int[] second) {
        return IntStream.concat(Arrays.stream(first), Arrays.stream(second)).toArray();
    }

    @Test
    void whatWasServedIsFound() {
        open(16);
        int[] text = text(0, 200);
        assertEquals(0, serve(text));
        assertEquals(199, serve(text), "all but the token whose logits are wanted");
        assertEquals(200, serve(join(text, text(900, 50))));
        assertEquals(130, serve(join(text(0, 130), text(700, 30))), "two pages and part of the third");
        assertEquals(0, serve(text(1, 200)));
        assertEquals(10, serve(join(text(0, 10), text(5000, 3))), "part of the first page");
    }

    @Test
    void nothingIsFoundWhereDisabled() {
        open(16, CacheDtype.F32, false);
        assertEquals(0, serve(text(0, 200)));
        assertEquals(0, serve(text(0, 200)));
        assertEquals(0, prefixes.pagesKept());
        assertEquals(16, cache.pool().available());
    }

    @Test
    void runningSequencesShareFullPages() {
        open(6);
        int[] text = text(0, 3 * PAGE);
        Claim first = prefixes.claim(text, text.length - 1, 4 * PAGE);
        run(first, text, 0, 2 * PAGE);
        assertEquals(0, prefixes.cached(text, text.length));
        prefixes.share(first, text, 2 * PAGE);
        assertEquals(2 * PAGE, prefixes.cached(text, text.length));
        Claim second = prefixes.claim(text, text.length - 1, 4 * PAGE);
        assertEquals(2 * PAGE, second.reused());
        assertEquals(first.table().page(1), second.table().page(1));
        // both run the third page; whoever shares it first, the other one's copy is given back
        run(first, text, 2 * PAGE, 3 * PAGE);
        run(second, text, 2 * PAGE, 3 * PAGE);
        assertNotEquals(first.table().page(2), second.table().page(2));
        prefixes.share(second, text, 3 * PAGE);
        prefixes.share(first, text, 3 * PAGE);
        assertEquals(first.table().page(2), second.table().page(2));
        checkContent(first, text, 3 * PAGE);
        assertEquals(3, prefixes.pagesInUse());
        prefixes.release(first, text, 3 * PAGE);
        prefixes.release(second, text, 3 * PAGE);
        assertEquals(3, prefixes.pagesKept());
    }

    @Test
    void aCopyIsWrittenAndNotItsOrigin() {
        open(8);
        int[] text = text(0, 100);
        serve(text);
        int[] other = join(text(0, 90), text(500, 38));
        Claim claim = prefixes.claim(other, other.length - 1, other.length);
        assertEquals(90, claim.reused());
        run(claim, other, 90, other.length);
        checkContent(claim, other, other.length);
        prefixes.release(claim, other, other.length);
        assertEquals(99, serve(text)); // serve checks what it finds
    }

    @Test
    void aLongerPageTakesThePlaceOfItsBeginning() {
        open(8);
        serve(text(0, 10));
        serve(text(0, 30));
        assertEquals(1, prefixes.pagesKept());
        serve(text(0, 20));
        assertEquals(1, prefixes.pagesKept());
        serve(text(0, 64));
        assertEquals(1, prefixes.pagesKept());
        assertEquals(63, serve(text(0, 64)));
    }

    @Test
    void onlyWhoCanFinishIsLetIn() {
        open(4);
        assertTrue(prefixes.fits(4 * PAGE));
        assertFalse(prefixes.fits(4 * PAGE + 1));
        int[] text = text(0, PAGE);
        Claim first = prefixes.claim(text, PAGE - 1, 3 * PAGE); // it may become three pages, and has none so far
        assertNull(prefixes.claim(text(500, 1), 0, 2 * PAGE));
        Claim second = prefixes.claim(text(500, 1), 0, PAGE);
        assertNotNull(second);
        assertNull(prefixes.claim(text(900, 1), 0, 1));
        run(first, text, 0, PAGE);
        prefixes.release(first, text, PAGE); // it ended early
        assertNotNull(prefixes.claim(text(900, 1), 0, 3 * PAGE));
    }

    /** A refusal leaves nothing behind, also where part of the text was found. */
    @Test
    void aRefusalChangesNothing() {
        open(4);
        int[] text = text(0, 2 * PAGE);
        serve(text);
        Claim busy = prefixes.claim(text(900, 1), 0, 2 * PAGE);
        assertNull(prefixes.claim(text, text.length, 5 * PAGE));
        prefixes.release(busy, text(900, 1), 0);
        assertEquals(2, prefixes.pagesKept());
        assertEquals(0, prefixes.pagesInUse());
        Claim all = prefixes.claim(text(900, 1), 0, 4 * PAGE);
        prefixes.reserve(all, 4 * PAGE);
        assertEquals(0, prefixes.pagesKept());
    }

    @Test
    void theLongestUnusedGoesFirst() {
        open(5);
        int[] first = text(0, 2 * PAGE);
        serve(first);
        serve(text(1000, PAGE));
        serve(text(2000, PAGE));
        serve(first); // used again; the fifth page is its copy for as long as it runs
        serve(text(3000, PAGE));
        assertEquals(0, prefixes.evictions());
        serve(text(4000, PAGE));
        assertEquals(1, prefixes.evictions());
        assertEquals(0, prefixes.cached(text(1000, PAGE), PAGE));
        assertEquals(PAGE, prefixes.cached(text(2000, PAGE), PAGE));
        serve(text(5000, PAGE));
        serve(text(6000, PAGE)); // now the end of the first goes, and its beginning stays
        assertEquals(0, prefixes.cached(text(2000, PAGE), PAGE));
        assertEquals(PAGE, prefixes.cached(first, first.length));
        prefixes.clear();
        assertEquals(5, cache.pool().available());
        assertEquals(0, prefixes.pagesKept());
    }

    @Test
    void pagesInUseAreNotEvicted() {
        open(4);
        int[] text = text(0, 2 * PAGE);
        serve(text);
        Claim held = prefixes.claim(text, text.length - 1, text.length);
        assertEquals(2 * PAGE - 1, held.reused());
        prefixes.clear();
        assertEquals(1, prefixes.pagesKept() + prefixes.pagesInUse() - 1, "the shared page and the copy");
        checkContent(held, text, held.reused());
    }

    /** Random texts of a small alphabet, at once and for all dtypes: what is found is right, and every page is somewhere. */
    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void atRandom(CacheDtype dtype) {
        int pages = 24;
        open(pages, dtype, true);
        Random random = new Random(5);
        record Running(Claim claim, int[] tokens, int[] length) {}
        List<Running> running = new ArrayList<>();
        long found = 0;
        for (int i = 0; i < 4000; i++) {
            int choice = random.nextInt(3);
            if (choice == 0) {
                int[] tokens = new int[1 + random.nextInt(300)];
                for (int at = 0; at < tokens.length; at++) {
                    tokens[at] = at % 40 == 0 ? random.nextInt(2) : at;
                }
                Claim claim = prefixes.claim(tokens, random.nextInt(tokens.length), tokens.length);
                if (claim != null) {
                    checkContent(claim, tokens, claim.reused());
                    found += claim.reused();
                    running.add(new Running(claim, tokens, new int[] {claim.reused()}));
                }
            } else if (!running.isEmpty()) {
                Running one = running.get(random.nextInt(running.size()));
                int to = Math.min(one.tokens.length, one.length[0] + random.nextInt(90));
                run(one.claim, one.tokens, one.length[0], to);
                one.length[0] = to;
                prefixes.share(one.claim, one.tokens, to);
                if (choice == 2) {
                    checkContent(one.claim, one.tokens, to);
                    prefixes.release(one.claim, one.tokens, to);
                    running.remove(one);
                }
            }
            Set<Integer> used = new HashSet<>();
            running.forEach(one -> IntStream.range(0, one.claim.table().count())
                    .forEach(page -> used.add(one.claim.table().page(page))));
            assertEquals(used.size(), prefixes.pagesInUse());
            assertEquals(pages, cache.pool().available() + prefixes.pagesInUse() + prefixes.pagesKept());
        }
        assertTrue(found > 10_000, "found " + found);
        assertTrue(prefixes.evictions() > 100, "evictions " + prefixes.evictions());
        running.forEach(one -> prefixes.release(one.claim, one.tokens, one.length[0]));
        prefixes.clear();
        assertEquals(pages, cache.pool().available());
    }
}
