package dev.gyre.attention.policy;

import static dev.gyre.attention.policy.PolicyScene.DIM;
import static dev.gyre.attention.policy.PolicyScene.INDEX_HEADS;
import static dev.gyre.attention.policy.PolicyScene.TOPK;
import static dev.gyre.attention.policy.PolicyScene.chosen;
import static dev.gyre.attention.policy.PolicyScene.select;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Randoms;
import dev.gyre.attention.Selection;
import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.attention.backend.AttentionBackends;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.IndexKeyCache;
import dev.gyre.attention.cache.PageTable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/** What each policy chooses, against its formula written once more: f64, one row, a sort for every choice. */
class ChoicesTest {
    private static final int[] LENGTHS = {90, 130, 300, 1037};

    /** The best of [0, n) by value, of equals the first; ascending. */
    private static int[] best(int n, int count, IntToDoubleFunction value) {
        return IntStream.range(0, n)
                .boxed()
                .sorted(Comparator.comparing((Integer i) -> -value.applyAsDouble(i)).thenComparing(i -> i))
                .limit(count)
                .mapToInt(i -> i)
                .sorted()
                .toArray();
    }

    private static double dot(LayerStep step, int row, int head, double[] key) {
        double dot = 0;
        for (int d = 0; d < DIM; d++) {
            dot += step.index().queries()[(row * INDEX_HEADS + head) * DIM + d] * key[d];
        }
        return Math.max(0, dot);
    }

    private static double score(LayerStep step, int row, int[] heads, double[] key) {
        return Arrays.stream(heads)
                .mapToDouble(head -> step.index().weights()[row * INDEX_HEADS + head] * dot(step, row, head, key))
                .sum();
    }

    private static double[] key(LayerStep step, int row, int position) {
        float[] key = new float[DIM];
        step.keys().read(step.rows().slot(row, position), key, 0);
        return IntStream.range(0, DIM).mapToDouble(d -> key[d]).toArray();
    }

    private static double[] mean(LayerStep step, int row, int from, int to) {
        double[] mean = new double[DIM];
        for (int position = from; position < to; position++) {
            double[] key = key(step, row, position);
            for (int d = 0; d < DIM; d++) {
                mean[d] += key[d] / (to - from);
            }
        }
        return mean;
    }

    private static final int[] ALL_HEADS = IntStream.range(0, INDEX_HEADS).toArray();

    private static void compare(PolicyScene scene, String spec, Expected expected) {
        QueryRows rows = scene.step.rows();
        Selection found = select(scene.policy(spec), scene.step);
        for (int row = 0; row < rows.rows(); row++) {
            int[] wanted = rows.visible(row) <= TOPK
                    ? IntStream.range(0, rows.visible(row)).toArray()
                    : expected.chosen(scene.step, row, rows.visible(row));
            assertArrayEquals(wanted, found.chosen(rows, row), spec + ", row " + row + " of " + rows.visible(row));
        }
    }

    private interface Expected {
        int[] chosen(LayerStep step, int row, int visible);
    }

    @Test
    void indexer() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.FP8_E4M3, 20, LENGTHS)) {
            compare(scene, "indexer", (step, row, visible) ->
                    best(visible, TOPK, s -> score(step, row, ALL_HEADS, key(step, row, s))));
        }
    }

    @ParameterizedTest
    @CsvSource({"64, 3", "64, 5", "128, 2", "192, 4"})
    void hisa(int block, int blocks) {
        for (CacheDtype dtype : CacheDtype.values()) {
            try (PolicyScene scene = new PolicyScene(dtype, 20, LENGTHS)) {
                compare(scene, "hisa:block=" + block + ",blocks=" + blocks, (step, row, visible) -> {
                    int last = (visible - 1) / block;
                    int[] others = best(last - 1, blocks - 2, b -> score(
                            step, row, ALL_HEADS, mean(step, row, (b + 1) * block, (b + 2) * block)));
                    boolean[] kept = new boolean[last + 1];
                    kept[0] = true;
                    kept[last] = true;
                    Arrays.stream(others).forEach(b -> kept[b + 1] = true);
                    return best(visible, TOPK, s -> kept[s / block]
                            ? score(step, row, ALL_HEADS, key(step, row, s))
                            : Double.NEGATIVE_INFINITY);
                });
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 64", "2, 128", "4, 320"})
    void misa(int heads, int block) {
        for (CacheDtype dtype : CacheDtype.values()) {
            try (PolicyScene scene = new PolicyScene(dtype, 20, LENGTHS)) {
                compare(scene, "misa:heads=" + heads + ",block=" + block, (step, row, visible) -> {
                    int complete = visible / block;
                    double[][] means = IntStream.range(0, complete)
                            .mapToObj(b -> mean(step, row, b * block, (b + 1) * block))
                            .toArray(double[][]::new);
                    int[] routed = best(INDEX_HEADS, heads, head -> {
                        double weight = Math.abs(step.index().weights()[row * INDEX_HEADS + head]);
                        return weight * (complete == 0 ? 1 : Arrays.stream(means)
                                .mapToDouble(mean -> dot(step, row, head, mean))
                                .average()
                                .orElseThrow());
                    });
                    return best(visible, TOPK, s -> score(step, row, routed, key(step, row, s)));
                });
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"hisa:block=64,blocks=17", "hisa", "misa:heads=5,block=64", "shared:freq=1"})
    void withEverythingKeptItIsTheIndexer(String spec) {
        for (CacheDtype dtype : CacheDtype.values()) {
            try (PolicyScene scene = new PolicyScene(dtype, 40, LENGTHS)) {
                int[] expected = select(scene.policy("indexer"), scene.step).positions();
                assertArrayEquals(expected, select(scene.policy(spec), scene.step).positions());
            }
        }
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 40, LENGTHS)) {
            int[] expected = select(scene.policy("indexer"), scene.step).positions();
            for (String fewer : List.of("hisa:block=64,blocks=16", "misa:heads=4,block=64")) {
                assertFalse(Arrays.equals(expected, select(scene.policy(fewer), scene.step).positions()), fewer);
            }
        }
    }

    @Test
    void recent() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 20, LENGTHS)) {
            compare(scene, "recent:sink=3", (step, row, visible) ->
                    IntStream.range(0, visible).filter(s -> s < 3 || s >= visible - (TOPK - 3)).toArray());
            compare(scene, "recent:sink=0", (step, row, visible) -> IntStream.range(visible - TOPK, visible).toArray());
        }
    }

    /** Every token as often as any other, and none with a neighbour more often than chance has it. */
    @Test
    void random() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 1, 250)) {
            int rounds = 2000;
            int[] times = new int[250];
            int neighbours = 0;
            for (int round = 0; round < rounds; round++) {
                int[] chosen = chosen(scene.policy("random:seed=" + round), scene.step, 0);
                for (int i = 0; i < chosen.length; i++) {
                    times[chosen[i]]++;
                    neighbours += i > 0 && chosen[i] == chosen[i - 1] + 1 ? 1 : 0;
                }
            }
            double share = (double) TOPK / 250;
            double deviation = Math.sqrt(rounds * share * (1 - share));
            for (int position = 0; position < 250; position++) {
                assertEquals(rounds * share, times[position], 5 * deviation, "position " + position);
            }
            // of the 249 pairs of neighbours each is chosen with the probability 100/250 * 99/249
            assertEquals(249 * share * 99 / 249, (double) neighbours / rounds, 0.5);
        }
    }

    @Test
    void randomDependsOnSeedLayerAndPosition() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 2, 250)) {
            LayerStep step = scene.step;
            LayerStep other = scene.step(
                    1, step.rows(), step.queries().queries(), step.index().queries(), step.index().weights());
            String first = Arrays.toString(chosen(scene.policy("random"), step, 0));
            assertEquals(first, Arrays.toString(chosen(scene.policy("random:seed=1"), step, 0)));
            assertNotEquals(first, Arrays.toString(chosen(scene.policy("random:seed=2"), step, 0)));
            assertNotEquals(first, Arrays.toString(chosen(scene.policy("random"), other, 0)));
            assertNotEquals(first, Arrays.toString(chosen(scene.policy("random"), step, 1)));
        }
    }

    @Test
    void oracleKeepsTheMostMass() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.BF16, 20, LENGTHS)) {
            QueryRows rows = scene.step.rows();
            int stride = rows.longest();
            int[] all = IntStream.range(0, rows.rows()).toArray();
            float[] mass = new float[all.length * stride];
            scene.implementations("reference").host().mass().mass(
                    scene.step.queries(), scene.step.latents(), rows, all, all.length, mass, stride);
            compare(scene, "oracle", (step, row, visible) -> best(visible, TOPK, s -> mass[row * stride + s]));
            Selection oracle = select(scene.policy("oracle"), scene.step);
            for (String spec : List.of("indexer", "shared:freq=1", "hisa:block=64,blocks=3", "misa:heads=1", "recent",
                    "random", "dense")) {
                Selection other = select(scene.policy(spec), scene.step);
                for (int row : all) {
                    double most = kept(mass, row * stride, oracle.chosen(rows, row));
                    double least = kept(mass, row * stride, other.chosen(rows, row));
                    if (spec.equals("dense")) { // all there is: the bound of the bound
                        assertEquals(1, least, 1e-4, spec);
                        assertTrue(most <= least && (rows.visible(row) <= TOPK || most < least), spec);
                        continue;
                    }
                    assertTrue(most >= least && (rows.visible(row) <= TOPK || most > least), spec);
                }
            }
        }
    }

    private static double kept(float[] mass, int at, int[] chosen) {
        return Arrays.stream(chosen).mapToDouble(s -> mass[at + s]).sum();
    }

    /** Layers 0 and 2 select; 1 and 3 attend to what was selected before them, whatever they ask themselves. */
    @Test
    void sharedLayersAttendToWhatWasSelected() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 5, LENGTHS)) {
            AttentionBackend backend = AttentionBackends.create("dsa", "shared:freq=2,offset=1",
                    scene.context("vector", TOPK, 1 << 20), false, scene.implementations("vector"));
            assertEquals(List.of(true, false, true, false),
                    IntStream.range(0, 4).mapToObj(backend::usesIndexer).toList());
            List<String> selected = new ArrayList<>();
            Random random = new Random(3);
            int n = scene.step.rows().rows();
            for (int layer = 0; layer < 4; layer++) {
                IndexQueries index = scene.step.index();
                LayerStep step = scene.step(layer, scene.step.rows(), scene.step.queries().queries(),
                        Randoms.normal(random, index.queries().length), index.weights());
                LayerStep asked = backend.usesIndexer(layer) ? step : new LayerStep(
                        layer, step.rows(), step.queries(), step.latents(), null, null);
                backend.attend(asked, new float[n * PolicyScene.HEADS * PolicyScene.LATENT], (of, selection) ->
                        selected.add(Arrays.toString(Arrays.copyOf(selection.positions(), n * TOPK))));
                int[] own = select(scene.policy("indexer"), step).positions();
                assertEquals(backend.usesIndexer(layer), selected.get(layer).equals(Arrays.toString(own)));
            }
            assertEquals(selected.get(0), selected.get(1));
            assertEquals(selected.get(2), selected.get(3));
            assertNotEquals(selected.get(1), selected.get(2));
        }
    }

    /** Pages that are written again, or that another sequence gets, count with what is in them now. */
    @ParameterizedTest
    @ValueSource(strings = {"hisa:block=64,blocks=3", "misa:heads=1,block=128"})
    void pooledKeysFollowTheCache(String spec) {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 3, 700, 700)) {
            SelectionPolicy policy = scene.policy(spec);
            select(policy, scene.step);
            Random random = new Random(4);
            IndexKeyCache keys = scene.scene.cache.indexKeys(0);
            PageTable table = scene.scene.tables.get(0);
            for (int position = 64; position < 640; position++) {
                keys.write(table.slot(position), Randoms.normal(random, DIM), 0);
            }
            int[] expected = select(scene.policy(spec), scene.step).positions();
            assertArrayEquals(expected, select(policy, scene.step).positions());

            PageTable reversed = new PageTable();
            for (int page = table.count(); page-- > 0; ) {
                reversed.append(table.page(page));
            }
            int[] pages = IntStream.range(0, table.count()).map(reversed::page).toArray();
            table.clear();
            Arrays.stream(pages).forEach(table::append);
            // the last page had unused slots, which are in the middle of a block now
            for (int position = 0; position < 64; position++) {
                keys.write(table.slot(position), Randoms.normal(random, DIM), 0);
            }
            expected = select(scene.policy(spec), scene.step).positions();
            assertArrayEquals(expected, select(policy, scene.step).positions());
        }
    }
}
