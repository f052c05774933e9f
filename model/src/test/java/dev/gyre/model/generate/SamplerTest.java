package dev.gyre.model.generate;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.model.ops.Candidates;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.Arrays;
import java.util.Comparator;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Which tokens can be drawn, and how often. */
class SamplerTest {
    private static final int[] NO_PROMPT = {};
    /** Tokens 0..4 with probabilities 0.05, 0.5, 0.15, 0.3 and 0. */
    private static final double[] PROBABILITIES = {0.05, 0.5, 0.15, 0.3, 0};

    private static SamplingOptions options(double temperature, int topK, double topP, double minP, long seed) {
        return new SamplingOptions(temperature, topK, topP, minP, 1, 0, 0, seed);
    }

    private static SamplingOptions penalties(double repetition, double frequency, double presence) {
        return new SamplingOptions(0, 0, 1, 0, repetition, frequency, presence, 0);
    }

    private static float[] logits() {
        float[] logits = new float[PROBABILITIES.length];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) Math.log(PROBABILITIES[i]) + 3;
        }
        return logits;
    }

    private static int[] draws(SamplingOptions options, float[] logits, int count) {
        Sampler sampler = new Sampler(options, NO_PROMPT);
        int[] draws = new int[count];
        for (int i = 0; i < count; i++) {
            draws[i] = sampler.next(logits, 0, logits.length);
        }
        return draws;
    }

    @Test
    void greedyTakesTheLowestOfEquals() {
        assertEquals(1, Sampler.greedy(new float[] {1, 3, 3, 2}, 0, 4));
        assertEquals(0, Sampler.greedy(new float[] {0f, -0f, 0f}, 0, 3));
        assertEquals(0, Sampler.greedy(new float[] {-5, -5}, 0, 2));
        assertEquals(2, Sampler.greedy(new float[] {9, 9, 1, 2, 3, 9}, 2, 3), "position 4 of the array");
        assertEquals(1, new Sampler(SamplingOptions.GREEDY, NO_PROMPT).next(new float[] {9, 1, 3, 3}, 1, 3));
    }

    /** Token 4 is never drawn: its probability is 0. */
    @ParameterizedTest
    @CsvSource({
        "0, 1, 0, 0 1 2 3",
        "1, 1, 0, 1",
        "2, 1, 0, 1 3",
        "3, 1, 0, 1 2 3",
        "99, 1, 0, 0 1 2 3",
        "0, 0.49, 0, 1",
        "0, 0.51, 0, 1 3",
        "0, 0.79, 0, 1 3",
        "0, 0.81, 0, 1 2 3",
        "0, 0.96, 0, 0 1 2 3",
        "0, 0.000001, 0, 1",
        "0, 1, 0.05, 0 1 2 3",
        "0, 1, 0.11, 1 2 3",
        "0, 1, 0.31, 1 3",
        "0, 1, 1, 1",
        // the nucleus of the two that top-k leaves: 0.5 of 0.8 is 62.5 %
        "2, 0.61, 0, 1",
        "2, 0.64, 0, 1 3",
        // min-p comes last: the nucleus is that of all tokens, 0.5 + 0.3 < 0.84
        "0, 0.84, 0.2, 1 2 3",
        "0, 0.96, 0.2, 1 2 3",
        "4, 0.99, 0.5, 1 3",
    })
    void filtersLeaveExactlyTheRightCandidates(int topK, double topP, double minP, String expected) {
        Set<Integer> seen = new TreeSet<>();
        for (int draw : draws(options(1, topK, topP, minP, 7), logits(), 2000)) {
            seen.add(draw);
        }
        assertEquals(expected, seen.stream().map(String::valueOf).collect(Collectors.joining(" ")));
    }

    /** Of equally likely tokens top-k and top-p keep the lower ids. */
    @Test
    void tiesGoToTheLowerId() {
        float[] equal = new float[8];
        assertTrue(Arrays.stream(draws(options(1, 3, 1, 0, 8), equal, 500)).allMatch(token -> token < 3));
        assertTrue(Arrays.stream(draws(options(1, 0, 0.45, 0, 8), equal, 500)).allMatch(token -> token < 4));
    }

    /** 20,000 draws; the 0.1 % bound of chi-square with three degrees of freedom is 16.3. */
    @ParameterizedTest
    @CsvSource({"1, 0, 1", "0.5, 0, 1", "2, 0, 1", "1, 3, 1", "1, 0, 0.9"})
    void probabilities(double temperature, int topK, double topP) {
        int n = 20_000;
        int[] count = new int[PROBABILITIES.length];
        for (int draw : draws(options(temperature, topK, topP, 0, 9), logits(), n)) {
            count[draw]++;
        }
        double[] expected = new double[4];
        for (int i = 0; i < 4; i++) {
            // top-k 3 and top-p 0.9 both leave out token 0
            boolean filtered = i == 0 && (topK > 0 || topP < 1);
            expected[i] = filtered ? 0 : Math.pow(PROBABILITIES[i], 1 / temperature);
        }
        double total = Arrays.stream(expected).sum();
        double chiSquare = 0;
        for (int i = 0; i < 4; i++) {
            double due = expected[i] / total * n;
            if (due > 0) {
                chiSquare += (count[i] - due) * (count[i] - due) / due;
            } else {
                assertEquals(0, count[i]);
            }
        }
        assertTrue(chiSquare < 16.3, "chi-square " + chiSquare);
    }

    @Test
    void theSameSeedDrawsTheSame() {
        float[] equal = new float[1000];
        int[] draws = draws(options(1, 0, 1, 0, 5), equal, 100);
        assertArrayEquals(draws, draws(options(1, 0, 1, 0, 5), equal, 100));
        assertFalse(Arrays.equals(draws, draws(options(1, 0, 1, 0, 6), equal, 100)));
    }

    @Test
    void lowTemperaturesAreGreedy() {
        float[] logits = {1, 2, 3, 2.9f};
        for (double temperature : new double[] {1e-3, 1e-300, Double.MIN_VALUE}) {
            int[] draws = draws(options(temperature, 0, 1, 0, 1), logits, 50);
            assertTrue(Arrays.stream(draws).allMatch(token -> token == 2));
        }
    }

    /** Positive logits are divided, negative ones multiplied, for tokens of the prompt and of the output. */
    @Test
    void repetitionPenalty() {
        Sampler sampler = new Sampler(penalties(2, 0, 0), new int[] {0, 0});
        assertEquals(1, sampler.next(new float[] {4, 2.1f, -1}, 0, 3), "4 / 2 < 2.1");
        assertEquals(0, sampler.next(new float[] {4, 2.1f, -1}, 0, 3), "2.1 / 2 < 4 / 2: token 0 once in spite of two");
        assertEquals(2, sampler.next(new float[] {-1, -1, -1.9f}, 0, 3), "-1 * 2 < -1.9");
    }

    /** Every time that a token was generated costs, and the prompt does not count. */
    @Test
    void frequencyPenalty() {
        float[] logits = {3, 2.2f, 0};
        Sampler sampler = new Sampler(penalties(1, 0.5, 0), new int[] {0, 0, 0, 0});
        int[] found = new int[4];
        for (int i = 0; i < found.length; i++) {
            found[i] = sampler.next(logits, 0, 3);
        }
        // 3 -> 2.5 -> 2.0 < 2.2 -> 1.7 < 2.0
        assertArrayEquals(new int[] {0, 0, 1, 0}, found);
    }

    @Test
    void presencePenalty() {
        float[] logits = {3, 2.2f, 2.1f};
        Sampler sampler = new Sampler(penalties(1, 0, 1), new int[] {0});
        int[] found = new int[5];
        for (int i = 0; i < found.length; i++) {
            found[i] = sampler.next(logits, 0, 3);
        }
        // 3, then 2 < 2.2, then 1.2 and 2 < 2.1, then each has paid once
        assertArrayEquals(new int[] {0, 1, 2, 0, 0}, found);
        assertArrayEquals(new float[] {3, 2.2f, 2.1f}, logits, "the logits are left as they are");
    }

    @Test
    void ranges() {
        assertSays(() -> options(-1, 0, 1, 0, 0), "--temperature", "-1");
        assertSays(() -> options(Double.NaN, 0, 1, 0, 0), "--temperature", "NaN");
        assertSays(() -> options(1, -1, 1, 0, 0), "--top-k", "-1");
        assertSays(() -> options(1, 0, 0, 0, 0), "--top-p");
        assertSays(() -> options(1, 0, 1.1, 0, 0), "--top-p", "1.1");
        assertSays(() -> options(1, 0, 1, 2, 0), "--min-p");
        assertSays(() -> penalties(0, 0, 0), "--repetition-penalty");
        assertSays(() -> penalties(1, 101, 0), "--frequency-penalty");
        assertSays(() -> penalties(1, 0, Double.NaN), "--presence-penalty", "NaN");
    }

    /** Of many tokens only the likely ones are sorted; the nucleus is that of all of them, no larger and no smaller. */
    @Test
    void theNucleusOfManyTokens() {
        int count = 3000;
        SplittableRandom random = new SplittableRandom(2);
        float[] logits = new float[count];
        double[] probabilities = new double[count];
        double all = 0;
        for (int i = 0; i < count; i++) {
            logits[i] = (float) (random.nextGaussian() * 4);
            probabilities[i] = Math.exp(logits[i]);
            all += probabilities[i];
        }
        Integer[] order = IntStream.range(0, count).boxed().toArray(Integer[]::new);
        Arrays.sort(order, Comparator.comparingDouble(i -> -probabilities[i]));
        Set<Integer> nucleus = new TreeSet<>();
        double sum = 0;
        for (int i = 0; sum < 0.5 * all; i++) {
            sum += probabilities[order[i]];
            nucleus.add(order[i]);
        }
        Set<Integer> drawn = Arrays.stream(draws(options(1, 0, 0.5, 0, 3), logits, 20_000))
                .boxed()
                .collect(Collectors.toCollection(TreeSet::new));
        assertEquals(nucleus, drawn);
    }

    /** The best few tokens, as a device finds them, give what all logits give; also where many are alike. */
    @ParameterizedTest
    @CsvSource({"0, 0, 1, 0", "1, 1, 1, 0", "0.7, 5, 1, 0", "1, 20, 0.8, 0", "3, 40, 1, 0.2", "0.01, 50, 0.9, 0"})
    void candidatesAreEnough(double temperature, int topK, double topP, double minP) {
        SplittableRandom random = new SplittableRandom(6);
        SamplingOptions options = options(temperature, topK, topP, minP, 5);
        Sampler whole = new Sampler(options, NO_PROMPT);
        Sampler few = new Sampler(options, NO_PROMPT);
        for (int text = 0; text < 200; text++) {
            float[] logits = new float[300];
            for (int i = 0; i < logits.length; i++) {
                // far apart, many the same, and so near that their probabilities are the same as floats
                logits[i] = switch (text % 3) {
                    case 0 -> (float) random.nextGaussian() * 5;
                    case 1 -> random.nextInt(6) - 3;
                    default -> 1 + random.nextInt(200) * 1.2e-7f;
                };
            }
            int[] tokens = IntStream.range(0, logits.length)
                    .boxed()
                    .sorted(Comparator.<Integer>comparingDouble(i -> -logits[i]).thenComparing(i -> i))
                    .limit(few.enough())
                    .mapToInt(i -> i)
                    .sorted()
                    .toArray();
            float[] theirs = new float[tokens.length + 1]; // from 1 on
            int[] ids = new int[tokens.length + 1];
            for (int i = 0; i < tokens.length; i++) {
                ids[i + 1] = tokens[i];
                theirs[i + 1] = logits[tokens[i]];
            }
            assertEquals(whole.next(logits, 0, logits.length), few.next(new Candidates(ids, theirs, 1, tokens.length)));
        }
    }

    @Test
    void whatIsEnough() {
        assertEquals(1, new Sampler(SamplingOptions.GREEDY, NO_PROMPT).enough());
        assertEquals(7, new Sampler(options(1, 7, 0.5, 0.1, 0), NO_PROMPT).enough());
        assertEquals(0, new Sampler(options(1, 0, 0.5, 0.1, 0), NO_PROMPT).enough());
        assertEquals(0, new Sampler(penalties(1.1, 0, 0), NO_PROMPT).enough());
        assertEquals(0, new Sampler(penalties(1, 0.5, 0), NO_PROMPT).enough());
        SamplingOptions biased = new SamplingOptions(0, 0, 1, 0, 1, 0, 0, 0, Map.of(3, 5.0));
        assertEquals(0, new Sampler(biased, NO_PROMPT).enough());
        Candidates none = new Candidates(new int[1], new float[1], 0, 0);
        assertSays(() -> new Sampler(SamplingOptions.GREEDY, NO_PROMPT).next(none), "logits are not finite");
    }
}
