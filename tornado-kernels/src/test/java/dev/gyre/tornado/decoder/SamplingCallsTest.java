package dev.gyre.tornado.decoder;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.gyre.attention.EngineException;
import dev.gyre.model.generate.Sampler;
import dev.gyre.model.generate.SamplingOptions;
import dev.gyre.model.ops.Candidates;
import dev.gyre.model.ops.LogitRows;
import dev.gyre.tornado.TornadoDevices;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** The best tokens of rows that a device found against a sort of all logits, and what is drawn from either. */
class SamplingCallsTest {
    private static final int ROWS = 5;
    private static final int THREADS = 64;

    private final Random random = new Random(4);

    /** Logits of a row that make trouble, or random ones. */
    private enum Row {
        RANDOM, TIES, EQUAL, ZEROS, NEGATIVE, SOME_NAN, FIRST_NAN, FEW_FINITE, INFINITE, LAST_IS_BEST;

        float[] logits(int count, Random random) {
            float[] logits = new float[count];
            for (int i = 0; i < count; i++) {
                logits[i] = switch (this) {
                    case RANDOM, INFINITE, LAST_IS_BEST -> (float) random.nextGaussian() * 4;
                    case TIES -> random.nextInt(4);
                    case EQUAL -> -7;
                    case ZEROS -> random.nextBoolean() ? 0f : -0f;
                    case NEGATIVE -> -random.nextFloat() - 1;
                    case SOME_NAN -> i > 0 && random.nextInt(3) == 0 ? Float.NaN : random.nextFloat() - 0.5f;
                    case FIRST_NAN -> i == 0 ? Float.NaN : i;
                    case FEW_FINITE -> i == count / 2
                            ? -3
                            : i == 0 || random.nextBoolean() ? Float.NEGATIVE_INFINITY : Float.NaN;
                };
            }
            if (this == LAST_IS_BEST || this == INFINITE) {
                logits[count - 1] = this == INFINITE ? Float.POSITIVE_INFINITY : 100;
            }
            return logits;
        }
    }

    @BeforeEach
    void needsADevice() {
        OnDevice.assume();
    }

    private static SamplingOptions options(double temperature, int topK, double topP, double minP) {
        return new SamplingOptions(temperature, topK, topP, minP, 1, 0, 0, 11);
    }

    private static final List<SamplingOptions> OPTIONS = List.of(
            SamplingOptions.GREEDY,
            options(0.8, 1, 1, 0),
            options(1, 2, 1, 0),
            options(0.7, 50, 0.9, 0),
            options(2, SamplingCalls.MOST_CANDIDATES, 1, 0.01),
            options(1, SamplingCalls.MOST_CANDIDATES + 1, 1, 0),
            options(1, 0, 0.9, 0));

    /** Rows ask for one token, for some, for all, side by side, and for something else in every run. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 37, 1000, 1025, 5000, 129_280})
    void asASortOfAllLogits(int vocabulary) {
        DeviceTensor tensor = DeviceTensor.allocate(ROWS, vocabulary);
        try (Recording recording = new Recording(
                List.of(new Stage(TornadoDevices.preferred(), new WeightPool())), GraphCut.Limits.TORNADO)) {
            recording.always(tensor.data());
            SamplingCalls sampling = new SamplingCalls(recording, tensor, 3, THREADS);
            LogitRows found = new LogitRows(vocabulary);
            for (int run = 0; run < OPTIONS.size() + 2; run++) {
                int rows = 1 + (run + 2) % ROWS;
                float[][] logits = new float[rows][];
                found.clear();
                for (int row = 0; row < rows; row++) {
                    logits[row] = Row.values()[random.nextInt(Row.values().length)].logits(vocabulary, random);
                    for (int i = 0; i < vocabulary; i++) {
                        tensor.data().set(row * vocabulary + i, logits[row][i]);
                    }
                    found.add(new Sampler(asked(run, row), new int[0]).enough());
                }
                sampling.ask(found);
                sampling.outputs(rows);
                recording.run(0);
                tensor.data().init(-1f); // what is found comes from the device
                sampling.fetch(found);
                for (int row = 0; row < rows; row++) {
                    check(logits[row], asked(run, row), found, row);
                }
            }
        }
    }

    private static SamplingOptions asked(int run, int row) {
        // at first nobody needs all logits, then everybody
        return switch (run) {
            case 0 -> OPTIONS.get(row % 4);
            case 1 -> OPTIONS.getLast();
            default -> OPTIONS.get((run * 3 + row) % OPTIONS.size());
        };
    }

    private static void check(float[] logits, SamplingOptions options, LogitRows found, int row) {
        int enough = found.enough(row);
        Candidates best = found.best(row);
        if (enough == 0 || enough > SamplingCalls.MOST_CANDIDATES) {
            assertNull(best);
            assertArrayEquals(logits, Arrays.copyOfRange(found.all(), row * logits.length, (row + 1) * logits.length));
            return;
        }
        assertNotNull(best);
        int[] tokens = Arrays.copyOfRange(best.tokens(), best.at(), best.at() + best.count());
        int[] expected = IntStream.range(0, logits.length)
                .filter(i -> Float.isFinite(logits[i]))
                .boxed()
                .sorted(Comparator.<Integer>comparingDouble(i -> -(logits[i] + 0f)).thenComparing(i -> i))
                .limit(enough)
                .mapToInt(i -> i)
                .sorted()
                .toArray();
        String what = options + " of row " + row;
        boolean infinite = logits[logits.length - 1] == Float.POSITIVE_INFINITY;
        if (Float.isNaN(logits[0]) || expected.length == 0 || infinite) {
            assertEquals(0, best.count(), what);
            Sampler sampler = new Sampler(options, new int[0]);
            assertThrows(EngineException.class, () -> sampler.next(logits, 0, logits.length));
            return;
        }
        // more may come, of a row in whose run another asked for more
        assertEquals(expected.length, Arrays.stream(tokens).filter(t -> contains(expected, t)).count(), what);
        Sampler one = new Sampler(options, new int[0]);
        Sampler other = new Sampler(options, new int[0]);
        for (int draw = 0; draw < 20; draw++) {
            assertEquals(one.next(logits, 0, logits.length), other.next(best), what);
        }
    }

    private static boolean contains(int[] sorted, int value) {
        return Arrays.binarySearch(sorted, value) >= 0;
    }
}
