package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import javax.imageio.ImageIO;

/** {@code engine inspect} on prompts of the embedded model. */
class InspectTest {
    private static final String PROMPT =
            IntStream.range(0, 90).mapToObj(i -> Integer.toString(i * 37 % 4096)).collect(Collectors.joining(","));

    @TempDir
    private Path folder;

    private static String[] inspect(String... more) {
        return Outcome.join(new String[] {"inspect", "--tokens", PROMPT, "--index-topk", "20"}, more);
    }

    private static long sum(JsonNode counts) {
        long sum = 0;
        for (JsonNode count : counts) {
            sum += count.longValue();
        }
        return sum;
    }

    @Test
    void json() {
        JsonNode seen = Outcome.json(inspect("--positions", "89,7,30"));
        JsonNode logits = Outcome.json("logits", "--tokens", PROMPT, "--index-topk", "20", "--positions", "7,30,89",
                "--selections");
        assertEquals("indexer", seen.get("selection_policy").textValue());
        assertEquals(20, seen.get("index_topk").intValue());
        assertEquals(logits.get("positions"), seen.get("positions"));
        assertEquals(logits.get("input_ids"), seen.get("input_ids"));
        assertEquals(0, seen.get("files").size());
        for (int layer = 0; layer < 4; layer++) {
            JsonNode of = seen.get("layers").get(layer);
            for (String position : List.of("7", "30", "89")) {
                assertEquals(logits.get("selected_tokens").get(position).get(layer), of.get("selected").get(position));
                double mass = of.get("mass").get(position).doubleValue();
                assertTrue(position.equals("7") ? Math.abs(mass - 1) < 1e-5 : mass > 0.1 && mass < 1, of.toString());
            }
            // positions 30 and 89 chose 20 each, 7 had nothing to choose
            JsonNode scores = of.get("scores");
            assertEquals(40, sum(scores.get("selected")));
            assertEquals(31 + 90 - 40, sum(scores.get("others")));
            assertEquals(scores.get("selected").size() + 1, scores.get("edges").size());
            double own = seen.get("overlap").get("layers").get(layer).get(layer).doubleValue();
            assertEquals(1, own, 1e-9);
            assertTrue(seen.get("overlap").get("steps").get(layer).doubleValue() < 1);
        }
        assertEquals(70, seen.get("overlap").get("tokens").intValue());
    }

    /** The indexer's scores are there whatever selects, and shared layers are said to be. */
    @Test
    void otherPolicies() {
        JsonNode window = Outcome.json(inspect("--selection-policy", "recent:sink=0"));
        assertEquals(70, window.get("layers").get(3).get("selected").get("89").get(0).intValue());
        assertEquals(90, sum(window.get("layers").get(3).get("scores").get("selected"))
                + sum(window.get("layers").get(3).get("scores").get("others")));
        assertEquals(19.0 / 20, window.get("overlap").get("steps").get(0).doubleValue(), 1e-9);
        String text = Outcome.of(inspect("--selection-policy", "shared:freq=2")).succeeded().out();
        assertEquals(1, text.lines().filter(line -> line.contains("shares the selection before")).count(), text);
    }

    @Test
    void text() {
        String text = Outcome.of(inspect("--positions", "all")).succeeded().out();
        assertTrue(text.startsWith("90 tokens; indexer selects at most 20 for each"), text);
        assertTrue(text.contains("layer 3: ") && text.contains("position 7 ") && text.contains("and 82 more"), text);
        assertTrue(text.contains("8 of 8, 100.0%: 0-7"), text);
        assertTrue(text.contains("index scores, # selected and . not"), text);
        assertTrue(text.contains("of 70 tokens that see more than 20"), text);
        assertTrue(text.lines().allMatch(line -> line.length() <= 120), text);
        String few = Outcome.of("inspect", "--tokens", "1,2,3").succeeded().out();
        assertTrue(few.contains("no token sees more than 256 tokens") && !few.contains("NaN"), few);
        assertFalse(Outcome.json("inspect", "--tokens", "1,2,3").toString().contains("NaN"));
    }

    /** A model without tokenizer, whose tokens have no text. */
    @Test
    void withoutTokenizer() {
        String model = Outcome.golden("v32-sharded").toString();
        Outcome outcome = Outcome.of("inspect", "--tokens", "1,2,3", "--model", model).succeeded();
        assertTrue(outcome.out().contains("position 2 :"), outcome.out());
    }

    @Test
    void heatMaps() throws IOException {
        Path maps = folder.resolve("new/maps");
        JsonNode seen = Outcome.json(inspect(
                "--positions", "all", "--selection-policy", "recent:sink=0", "--out", maps.toString()));
        assertEquals(8, seen.get("files").size());
        for (JsonNode file : seen.get("files")) {
            BufferedImage image = ImageIO.read(Path.of(file.textValue()).toFile());
            assertEquals(540, image.getWidth()); // six pixels a token
            assertEquals(540, image.getHeight());
        }
        BufferedImage selected = ImageIO.read(maps.resolve("layer-02-selected.png").toFile());
        int dark = selected.getRGB(539, 0);
        List<Integer> bright = new ArrayList<>();
        for (int s = 0; s < 90; s++) {
            if (selected.getRGB(6 * s + 3, 6 * 60 + 3) != dark) {
                bright.add(s);
            }
        }
        assertArrayEquals(IntStream.rangeClosed(41, 60).toArray(), bright.stream().mapToInt(s -> s).toArray());
    }

    @Test
    void aFolderThatCannotBe() throws IOException {
        Path file = Files.createFile(folder.resolve("file"));
        for (Path wrong : List.of(file, file.resolve("below"), Path.of("/proc/gyre"))) {
            Outcome outcome = Outcome.of(inspect("--out", wrong.toString()));
            assertEquals(1, outcome.code(), outcome.err());
            assertTrue(outcome.err().startsWith("engine: --out: ") && outcome.err().contains(wrong.toString()),
                    outcome.err());
            assertEquals(1, outcome.err().lines().count(), outcome.err());
            assertEquals("", outcome.out());
        }
    }
}
