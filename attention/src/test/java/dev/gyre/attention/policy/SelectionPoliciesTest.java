package dev.gyre.attention.policy;

import static dev.gyre.attention.policy.PolicyScene.TOPK;
import static dev.gyre.attention.policy.PolicyScene.select;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.attention.backend.AttentionBackends;
import dev.gyre.attention.backend.SelectionListener;
import dev.gyre.attention.cache.CacheDtype;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Arrays;
import java.util.List;

/** What holds of every policy, and how they are named. */
class SelectionPoliciesTest {
    private static final int[] LENGTHS = {1, 63, 64, 100, 101, 129, 300, 1037};

    /** Every policy with parameters that make it choose in sequences as short as these. */
    private static List<String> specs() {
        List<String> specs = List.of("indexer", "dense", "shared:freq=2", "hisa:block=64,blocks=3",
                "misa:heads=2,block=64", "oracle", "recent:sink=3", "random:seed=5");
        assertEquals(
                SelectionPolicies.known().stream().map(PolicyParameters::name).toList(),
                specs.stream().map(PolicyParameters::name).toList());
        return specs;
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void rowsChooseDistinctTokensThatTheySee(String implementation) {
        try (PolicyScene scene = new PolicyScene(CacheDtype.BF16, 40, LENGTHS)) {
            QueryRows rows = scene.step.rows();
            for (String spec : specs()) {
                Selection selection = select(scene.policy(spec, implementation), scene.step);
                for (int row = 0; row < rows.rows(); row++) {
                    int[] chosen = selection.chosen(rows, row);
                    String where = spec + ", row " + row + ": " + Arrays.toString(chosen);
                    int wanted = spec.equals("dense") ? rows.visible(row) : Math.min(TOPK, rows.visible(row));
                    assertEquals(wanted, Arrays.stream(chosen).distinct().count(), where);
                    assertArrayEquals(Arrays.stream(chosen).sorted().toArray(), chosen, where);
                    assertTrue(chosen[0] >= 0 && chosen[chosen.length - 1] < rows.visible(row), where);
                    for (int i = 0; i < selection.k(); i++) {
                        int slot = i < chosen.length ? rows.slot(row, chosen[i]) : Selection.NONE;
                        assertEquals(slot, selection.slots()[row * selection.k() + i], where);
                    }
                }
            }
        }
    }

    /** A row chooses the same in a batch with prefixes, and alone as in a decode step; also with nothing cached. */
    @Test
    void theBatchDoesNotMatter() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 40, LENGTHS)) {
            for (String spec : specs()) {
                SelectionPolicy policy = scene.policy(spec);
                Selection together = select(policy, scene.step);
                for (int row = 0; row < scene.step.rows().rows(); row += 7) {
                    int[] expected = together.chosen(scene.step.rows(), row);
                    LayerStep alone = scene.alone(row);
                    String where = spec + ", row " + row;
                    assertArrayEquals(expected, PolicyScene.chosen(policy, alone, 0), where);
                    assertArrayEquals(expected, PolicyScene.chosen(scene.policy(spec), alone, 0), where);
                }
            }
        }
    }

    @Test
    void implementationsAgree() {
        for (CacheDtype dtype : CacheDtype.values()) {
            try (PolicyScene scene = new PolicyScene(dtype, 20, LENGTHS)) {
                for (String spec : specs()) {
                    Selection expected = select(scene.policy(spec, "reference"), scene.step);
                    Selection found = select(scene.policy(spec, "vector"), scene.step);
                    assertArrayEquals(expected.positions(), found.positions(), spec);
                }
            }
        }
    }

    @Test
    void theScoreBufferDoesNotMatter() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 30, LENGTHS)) {
            for (String spec : specs()) {
                // room for one row of tokens, or of the means of all heads
                PolicyContext narrow = scene.context("vector", TOPK, 1100 * Float.BYTES);
                Selection found = select(SelectionPolicies.create(spec, narrow), scene.step);
                assertArrayEquals(select(scene.policy(spec), scene.step).positions(), found.positions(), spec);
            }
        }
    }

    /** With as many tokens as there are to choose from every policy is dense attention, to the bit. */
    @Test
    void allTokensAreDenseAttention() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 10, LENGTHS)) {
            float[] expected = attend(scene, "dense", TOPK);
            assertTrue(!Arrays.equals(expected, attend(scene, "indexer", TOPK)), "it must choose");
            for (String spec : List.of("indexer", "dense", "shared", "hisa:block=64,blocks=18", "misa:heads=2",
                    "oracle", "recent", "random")) {
                assertArrayEquals(expected, attend(scene, spec, 1037), spec);
            }
        }
    }

    private static float[] attend(PolicyScene scene, String spec, int topk) {
        AttentionBackend backend = AttentionBackends.create(
                "dsa", spec, scene.context("vector", topk, 1 << 20), false, scene.implementations("vector"));
        float[] out = new float[scene.step.rows().rows() * PolicyScene.HEADS * PolicyScene.LATENT];
        backend.attend(scene.step, out, SelectionListener.NONE);
        return out;
    }

    @Test
    void parametersThatAreNotGivenHaveDefaults() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 1, 1)) {
            assertEquals("hisa:block=128,blocks=9", scene.policy("hisa:blocks=9").spec());
            assertEquals("recent:sink=4", scene.policy("recent").spec());
            assertEquals("oracle", scene.policy("oracle").spec());
            assertEquals("misa:heads=5,block=64", scene.policy("misa:block=64,heads=5").spec());
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "bogus | indexer, dense, shared",
        "'' | not known",
        "Indexer | not known",
        "recent:window=3 | recent:sink=4",
        "recent:sink | sink is ''",
        "recent:sink= | sink is ''",
        "recent:sink=many | sink is 'many'",
        "recent:sink=-1 | sink is '-1'",
        "recent:sink=1234567890 | whole numbers",
        "recent:sink=4,sink=5 | twice",
        "recent:sink=100 | index_topk",
        "recent: | no parameter ''",
        "oracle:k=3 | no parameter 'k'",
        "shared:freq=0 | needs freq to be at least 1",
        "shared:freq=2,offset=0 | needs offset to be at least 1",
        "hisa:block=0 | needs block to be at least 64",
        "hisa:block=100 | multiple of the 64",
        "hisa:blocks=1 | needs blocks to be at least 2",
        "hisa:block=64,blocks=2 | fewer candidates",
        "misa:heads=0 | needs heads to be at least 1",
        "misa:heads=6 | 5 of the indexer",
        "misa:heads=1,block=65 | multiple of the 64",
    })
    void mistakes(String spec, String named) {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 1, 1)) {
            EngineException mistake = assertThrows(EngineException.class, () -> scene.policy(spec));
            assertTrue(mistake.isUsage() && mistake.getMessage().contains(named), mistake.getMessage());
        }
    }
}
