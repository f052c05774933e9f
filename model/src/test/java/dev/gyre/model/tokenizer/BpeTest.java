package dev.gyre.model.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** The merging of one piece, against its definition. */
class BpeTest {
    /** A tokenizer over a, b and c with random merges of what is there, and the merges in order. */
    private record Toy(ObjectNode tree, List<String[]> merges) {
        static Toy random(Random random) {
            ObjectNode root = Samples.bytesOnlyTree(List.of());
            ObjectNode vocabulary = (ObjectNode) root.get("model").get("vocab");
            List<String> tokens = new ArrayList<>(List.of("a", "b", "c"));
            List<String[]> merges = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                String left = tokens.get(random.nextInt(tokens.size()));
                String right = tokens.get(random.nextInt(tokens.size()));
                String joined = left + right;
                if (joined.length() > 12 || merges.stream().anyMatch(m -> m[0].equals(left) && m[1].equals(right))) {
                    continue;
                }
                merges.add(new String[] {left, right});
                if (!vocabulary.has(joined)) {
                    vocabulary.put(joined, vocabulary.size());
                    tokens.add(joined);
                }
            }
            ArrayNode list = (ArrayNode) root.get("model").get("merges");
            merges.forEach(merge -> list.add(merge[0] + " " + merge[1]));
            return new Toy(root, merges);
        }

        /** The definition: the lowest-ranked merge that applies anywhere, at its leftmost place, until none does. */
        int[] encodeNaively(String text) {
            Map<String, Integer> ranks = new HashMap<>();
            for (int i = 0; i < merges.size(); i++) {
                ranks.put(merges.get(i)[0] + " " + merges.get(i)[1], i);
            }
            List<String> parts = new ArrayList<>(List.of(text.split("")));
            while (true) {
                int best = -1;
                int bestRank = Integer.MAX_VALUE;
                for (int i = 0; i + 1 < parts.size(); i++) {
                    int rank = ranks.getOrDefault(parts.get(i) + " " + parts.get(i + 1), Integer.MAX_VALUE);
                    if (rank < bestRank) {
                        best = i;
                        bestRank = rank;
                    }
                }
                if (best < 0) {
                    JsonNode vocabulary = tree.get("model").get("vocab");
                    return parts.stream().mapToInt(part -> vocabulary.get(part).intValue()).toArray();
                }
                parts.set(best, parts.get(best) + parts.remove(best + 1));
            }
        }
    }

    private static String randomText(Random random, int length) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) {
            text.append((char) ('a' + random.nextInt(3)));
        }
        return text.toString();
    }

    @Test
    void mergesByItsDefinition() {
        var random = new Random(11);
        for (int round = 0; round < 100; round++) {
            Toy toy = Toy.random(random);
            Tokenizer tokenizer = Samples.read(toy.tree());
            for (int length : new int[] {1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 66, 127, 200, 500}) {
                String text = randomText(random, length);
                assertArrayEquals(toy.encodeNaively(text), tokenizer.encode(text), text);
            }
            String same = "a".repeat(1 + random.nextInt(300));
            assertArrayEquals(toy.encodeNaively(same), tokenizer.encode(same), same);
        }
    }

    @Test
    void readsMergesAsTextsAndAsPairs() {
        var random = new Random(12);
        Toy toy = Toy.random(random);
        ObjectNode pairs = toy.tree().deepCopy();
        ArrayNode list = ((ObjectNode) pairs.get("model")).putArray("merges");
        toy.merges().forEach(merge -> list.addArray().add(merge[0]).add(merge[1]));
        String text = randomText(random, 300);
        assertArrayEquals(Samples.read(toy.tree()).encode(text), Samples.read(pairs).encode(text));
    }

    @Test
    void takesAWholePieceWhenMergesAreToBeIgnored() {
        ObjectNode root = Samples.bytesOnlyTree(List.of());
        ((ObjectNode) root.get("model").get("vocab")).put("\u0120abc", 256);
        assertEquals(4, Samples.read(root).encode(" abc").length);
        ((ObjectNode) root.get("model")).put("ignore_merges", true);
        assertArrayEquals(new int[] {256}, Samples.read(root).encode(" abc"));
        assertEquals(5, Samples.read(root).encode(" abcd").length);
    }
}
