package dev.gyre.attention.policy;

import static dev.gyre.attention.policy.PolicyScene.TOPK;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.cache.CacheDtype;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;

/** The policy that the README shows, {@link EvenPolicy}, selects what it says. */
class ReadmePolicyTest {
    @Test
    void itSelects() {
        try (PolicyScene scene = new PolicyScene(CacheDtype.F32, 9, 64, 100, 101, 350)) {
            SelectionPolicy policy = new EvenPolicy(PolicyParameters.of("even", "even"), scene.context("vector", TOPK, 1));
            assertEquals("even", policy.spec());
            Selection selection = PolicyScene.select(policy, scene.step);
            QueryRows rows = scene.step.rows();
            for (int row = 0; row < rows.rows(); row++) {
                int visible = rows.visible(row);
                int[] expected = visible <= TOPK
                        ? IntStream.range(0, visible).toArray()
                        : IntStream.rangeClosed(1, TOPK).map(i -> i * visible / TOPK - 1).toArray();
                assertArrayEquals(expected, selection.chosen(rows, row));
            }
        }
    }

    @Test
    void theReadmeShowsIt() throws IOException {
        Path source = Path.of("src/test/java/dev/gyre/attention/policy/EvenPolicy.java");
        List<String> lines = Files.readAllLines(source).stream().map(String::strip).toList();
        List<String> readme = Files.readAllLines(Path.of("../README.md")).stream().map(String::strip).toList();
        List<String> shown = lines.subList(lines.indexOf("// README") + 1, lines.indexOf("// end"));
        int start = readme.indexOf(shown.getFirst());
        assertTrue(start > 0, "the README has no policy");
        assertEquals(shown, readme.subList(start, start + shown.size()));
    }
}
