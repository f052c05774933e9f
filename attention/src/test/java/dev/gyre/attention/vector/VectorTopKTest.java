package dev.gyre.attention.vector;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.Resources;
import dev.gyre.attention.cache.PagePool;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.attention.reference.ReferenceTopK;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Arrays;
import java.util.Random;

/** Selections are compared exactly: the order is total, so there is one right answer. */
class VectorTopKTest {
    private static final float HIGHEST = Float.POSITIVE_INFINITY;
    private static final float LOWEST = Float.NEGATIVE_INFINITY;
    private static final int UNTOUCHED = 0x5555_5555;

    private final WorkerPool pool = new WorkerPool(2);
    private final TopK vector = new VectorProvider().topK(Resources.of(pool));
    private final TopK reference = new ReferenceTopK(pool);
    private final Random random = new Random(31);

    @AfterEach
    void endThreads() {
        pool.close();
    }

    /** What scores look like. */
    private enum Kind {
        NORMAL, MOSTLY_ZERO, SIGNED_ZEROS, ALL_EQUAL, ALL_ZERO, FEW_VALUES, SOME_NAN, MOSTLY_NAN, ALL_NAN, INFINITIES,
        NEGATIVE_INFINITIES_AND_NAN, ASCENDING, DESCENDING, NEGATIVE, SUBNORMAL, ANY_BITS;

        float score(Random random, int i) {
            float normal = (float) random.nextGaussian();
            return switch (this) {
                case NORMAL -> normal;
                case MOSTLY_ZERO -> random.nextInt(10) == 0 ? normal : 0f;
                case SIGNED_ZEROS -> random.nextInt(20) == 0 ? normal : random.nextBoolean() ? 0f : -0f;
                case ALL_EQUAL -> 2.5f;
                case ALL_ZERO -> 0f;
                case FEW_VALUES -> random.nextInt(5) - 2;
                case SOME_NAN -> random.nextInt(6) == 0 ? Float.NaN : normal;
                case MOSTLY_NAN -> random.nextInt(6) > 0 ? Float.intBitsToFloat(-1 - random.nextInt(1000)) : normal;
                case ALL_NAN -> random.nextBoolean() ? Float.NaN : -Float.NaN;
                case INFINITIES -> random.nextInt(3) > 0 ? normal : random.nextBoolean() ? HIGHEST : LOWEST;
                case NEGATIVE_INFINITIES_AND_NAN ->
                    random.nextInt(9) == 0 ? normal : random.nextBoolean() ? LOWEST : Float.NaN;
                case ASCENDING -> i / 3;
                case DESCENDING -> -i / 3;
                case NEGATIVE -> -Math.abs(normal) - 1f;
                case SUBNORMAL -> Float.intBitsToFloat(random.nextInt(40) | random.nextInt(2) << 31);
                case ANY_BITS -> Float.intBitsToFloat(random.nextInt());
            };
        }
    }

    /** A row of each length, scores side by side; what lies beyond a row's length would win if it were looked at. */
    private final class Rows {
        final QueryRows rows = new QueryRows();
        final int stride;
        final float[] scores;

        Rows(float[]... content) {
            int longest = 0;
            for (float[] row : content) {
                PageTable table = new PageTable();
                new PagePool(row.length / PageTable.PAGE + 1).reserve(table, row.length);
                rows.add(table, row.length - 1, row.length);
                longest = Math.max(longest, row.length);
            }
            stride = longest + 3;
            scores = new float[content.length * stride];
            Arrays.fill(scores, HIGHEST);
            for (int i = 0; i < content.length; i++) {
                System.arraycopy(content[i], 0, scores, i * stride, content[i].length);
            }
        }

        Selection select(TopK topk, int from, int to, int k) {
            Selection selection = new Selection();
            selection.resize(rows.rows(), k);
            Arrays.fill(selection.positions(), UNTOUCHED);
            Arrays.fill(selection.slots(), UNTOUCHED);
            float[] part = Arrays.copyOfRange(scores, from * stride, to * stride);
            topk.select(part, stride, rows, from, to, selection);
            return selection;
        }

        void compare(int k, String what) {
            compare(0, rows.rows(), k, what);
        }

        void compare(int from, int to, int k, String what) {
            Selection expected = select(reference, from, to, k);
            Selection found = select(vector, from, to, k);
            assertArrayEquals(expected.positions(), found.positions(), what + ", k " + k);
            assertArrayEquals(expected.slots(), found.slots(), what + ", k " + k);
        }
    }

    private float[] row(Kind kind, int n) {
        float[] row = new float[n];
        for (int i = 0; i < n; i++) {
            row[i] = kind.score(random, i);
        }
        return row;
    }

    /** Over a thousand rows: 16 kinds, 9 calls of 8 rows. */
    @ParameterizedTest
    @EnumSource(Kind.class)
    void randomRows(Kind kind) {
        for (int call = 0; call < 9; call++) {
            float[][] content = new float[8][];
            for (int i = 0; i < content.length; i++) {
                content[i] = row(kind, 1 + random.nextInt(call < 5 ? 300 : 4000));
            }
            int n = content[0].length;
            new Rows(content).compare(1 + random.nextInt(n), kind.name());
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void boundariesOfKAndN(Kind kind) {
        for (int n : new int[] {1, 2, 13, 15, 16, 17, 63, 64, 65, 207, 511, 512, 513, 2046, 2049, 5000}) {
            Rows rows = new Rows(row(kind, n));
            for (int k : new int[] {1, 2, n / 2, n - 1, n, n + 1, n + 70}) {
                if (k > 0) {
                    rows.compare(k, kind + " of " + n);
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void longRows(Kind kind) {
        Rows rows = new Rows(row(kind, 131_072));
        for (int k : new int[] {1, 2048, 131_071}) {
            rows.compare(k, kind.name());
        }
    }

    /** Scores that any sample at a fixed stride misjudges, in either direction. */
    @ParameterizedTest
    @ValueSource(ints = {5000, 131_072})
    void outliersThatASampleMisses(int n) {
        for (int stride : new int[] {n / 512, n / 256, 64, 2}) {
            float[] high = row(Kind.NORMAL, n);
            float[] low = row(Kind.NORMAL, n);
            for (int i = 0; i < n; i += stride) {
                high[i] += 1e6f; // the sample sees only these: its bound is too high
                low[i] -= 1e6f; // and here far too low, so that everything is above it
            }
            new Rows(high, low).compare(2048, "outliers every " + stride);
            new Rows(high, low).compare(100, "outliers every " + stride);
        }
        float[] end = new float[n];
        Arrays.fill(end, n - 2100, n, 3f);
        new Rows(end).compare(2048, "all that counts is at the end");
        float[] start = new float[n];
        Arrays.fill(start, 0, 2100, 3f);
        new Rows(start).compare(2048, "all that counts is at the start");
    }

    /**
     * Sampled places hold the lowest score, all others are distinct and above it: more than any room for candidates.
     */
    @ParameterizedTest
    @CsvSource({"5000, 1", "5000, 64", "131072, 1", "131072, 2048", "40000, 9000"})
    void everythingIsAboveTheBound(int n, int k) {
        float[] row = new float[n];
        for (int i = 0; i < n; i++) {
            row[i] = 1 + (i * 7919L % n);
        }
        for (int i = 0; i < 512; i++) {
            row[(int) ((long) i * n / 512)] = -1f;
        }
        new Rows(row).compare(k, "all above");
        float[] equal = new float[n];
        Arrays.fill(equal, 1f);
        for (int i = 0; i < 512; i++) {
            equal[(int) ((long) i * n / 512)] = -1f;
        }
        new Rows(equal).compare(k, "all above and equal");
    }

    /** Rows of one long sequence, as prefill has them; only the rows asked for are set. */
    @Test
    void aPartOfTheRowsOfASequence() {
        PageTable table = new PageTable();
        new PagePool(10).reserve(table, 600);
        QueryRows rows = new QueryRows();
        rows.add(table, 560, 600);
        float[] scores = row(Kind.MOSTLY_ZERO, 10 * 600);
        Selection expected = new Selection();
        Selection found = new Selection();
        for (Selection selection : new Selection[] {expected, found}) {
            selection.resize(40, 100);
            Arrays.fill(selection.positions(), UNTOUCHED);
            Arrays.fill(selection.slots(), UNTOUCHED);
        }
        reference.select(scores, 600, rows, 7, 17, expected);
        vector.select(scores, 600, rows, 7, 17, found);
        assertArrayEquals(expected.positions(), found.positions());
        assertArrayEquals(expected.slots(), found.slots());
        assertEquals(UNTOUCHED, found.positions()[6 * 100 + 99]);
        assertEquals(UNTOUCHED, found.positions()[17 * 100]);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3})
    void threadsAndBatchDoNotMatter(int threads) {
        float[][] content = new float[Kind.values().length][];
        for (Kind kind : Kind.values()) {
            content[kind.ordinal()] = row(kind, 700 + random.nextInt(1500));
        }
        Rows all = new Rows(content);
        try (WorkerPool other = new WorkerPool(threads)) {
            TopK topk = new VectorProvider().topK(Resources.of(other));
            Selection expected = all.select(vector, 0, content.length, 600);
            assertArrayEquals(expected.positions(), all.select(topk, 0, content.length, 600).positions());
            for (int i = 0; i < content.length; i++) {
                int[] alone = new Rows(content[i]).select(topk, 0, 1, 600).positions();
                assertArrayEquals(Arrays.copyOfRange(expected.positions(), i * 600, (i + 1) * 600), alone);
            }
        }
    }
}
