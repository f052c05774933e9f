package dev.gyre.model.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.gyre.model.config.Configs;
import dev.gyre.model.config.ModelConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.util.Random;

/** Frequencies of plain RoPE and YaRN, and what a rotation must do. */
class RopeTableTest {
    private static final ModelConfig.Rope PLAIN = new ModelConfig.Rope(10000, null);

    private static float[] normal(int size, long seed) {
        Random random = new Random(seed);
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private static float[] rotated(RopeTable table, float[] values, int position, boolean interleaved) {
        float[] copy = values.clone();
        table.reach(position + 1);
        table.rotate(copy, 0, position, interleaved);
        return copy;
    }

    @Test
    void plainFrequencies() {
        double[] frequencies = RopeTable.frequencies(PLAIN, 64);
        assertEquals(1, frequencies[0]);
        assertEquals(0.01, frequencies[16], 1e-15);
        for (int i = 0; i < 32; i++) {
            assertEquals(1 / Math.pow(10000, i / 32.0), frequencies[i], 1e-15);
        }
    }

    /**
     * DeepSeek-V3.2: a frequency with dimension pair i turns 4096 / (2 pi 10000^(i/32)) times in the first context. 32
     * turns come at i = 10.47, one turn at i = 22.51: up to 10 frequencies stay, from 23 on they are divided by 40.
     */
    @Test
    void yarnFrequenciesOfDeepSeekV32() {
        double[] frequencies = RopeTable.frequencies(Configs.v32("{}").rope(), 64);
        for (int i = 0; i < 32; i++) {
            double plain = Math.exp(-i / 32.0 * Math.log(10000));
            double kept = i <= 10 ? 1 : i >= 23 ? 0 : (23 - i) / 13.0;
            assertEquals(plain * kept + plain / 40 * (1 - kept), frequencies[i], 1e-12, "pair " + i);
        }
        assertEquals(1, frequencies[0], 1e-12);
        assertEquals(Math.pow(10000, -31 / 32.0) / 40, frequencies[31], 1e-15);
    }

    @Test
    void yarnWithoutTruncation() {
        ModelConfig.Rope rope = Configs.v32("{\"rope_scaling\":{\"truncate\":false}}").rope();
        double low = 64 * Math.log(4096 / (32 * 2 * Math.PI)) / (2 * Math.log(10000));
        double high = 64 * Math.log(4096 / (2 * Math.PI)) / (2 * Math.log(10000));
        double stretched = (15 - low) / (high - low);
        double plain = Math.pow(10000, -15 / 32.0);
        assertEquals(plain * (1 - stretched) + plain / 40 * stretched, RopeTable.frequencies(rope, 64)[15], 1e-12);
    }

    /** The magnitude multiplies cos and sin for attention and not for the indexer. */
    @Test
    void magnitude() {
        ModelConfig.Rope rope = new ModelConfig.Rope(10000, new ModelConfig.Yarn(40, 4096, 32, 1, true, 1.25, 1));
        float[] values = normal(8, 1);
        float[] plain = rotated(new RopeTable(rope, 8, false), values, 9, true);
        float[] scaled = rotated(new RopeTable(rope, 8, true), values, 9, true);
        for (int i = 0; i < 8; i++) {
            assertEquals(plain[i] * 1.25f, scaled[i], 1e-6f);
        }
    }

    /** Interleaved pairs are (2i, 2i+1), the others (i, i + 3). */
    @Test
    void layouts() {
        RopeTable table = new RopeTable(PLAIN, 6, true);
        float[] values = {1, 2, 3, 4, 5, 6};
        double[] angle = {7, 7 * Math.pow(10000, -1 / 3.0), 7 * Math.pow(10000, -2 / 3.0)};
        float[] interleaved = new float[6];
        float[] halves = new float[6];
        for (int i = 0; i < 3; i++) {
            double c = Math.cos(angle[i]);
            double s = Math.sin(angle[i]);
            interleaved[2 * i] = (float) (values[2 * i] * c - values[2 * i + 1] * s);
            interleaved[2 * i + 1] = (float) (values[2 * i + 1] * c + values[2 * i] * s);
            halves[i] = (float) (values[i] * c - values[i + 3] * s);
            halves[i + 3] = (float) (values[i + 3] * c + values[i] * s);
        }
        assertArrayEquals(interleaved, rotated(table, values, 7, true), 1e-6f);
        assertArrayEquals(halves, rotated(table, values, 7, false), 1e-6f);
        assertArrayEquals(values, rotated(table, values, 0, true));
    }

    @Test
    void touchesOnlyItsRange() {
        RopeTable table = new RopeTable(PLAIN, 4, true);
        table.reach(6);
        float[] values = normal(10, 2);
        float[] whole = values.clone();
        table.rotate(whole, 3, 5, true);
        for (int i : new int[] {0, 1, 2, 7, 8, 9}) {
            assertEquals(values[i], whole[i]);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void keepsNorms(boolean interleaved) {
        RopeTable table = new RopeTable(Configs.v32("{}").rope(), 64, true);
        float[] values = normal(64, 3);
        for (int position : new int[] {1, 63, 1000, 163839}) {
            assertEquals(dot(values, values), dot(rotated(table, values, position, interleaved)), 1e-4);
        }
    }

    /** A score depends on the distance only, far out as well as near. */
    @ParameterizedTest
    @CsvSource({"true, 0, 17", "false, 0, 17", "true, 3, 150000", "false, 90000, 60000"})
    void scoresDependOnTheDistance(boolean interleaved, int distance, int shift) {
        RopeTable table = new RopeTable(Configs.v32("{}").rope(), 64, true);
        float[] q = normal(64, 4);
        float[] k = normal(64, 5);
        double near = dot(rotated(table, q, distance, interleaved), rotated(table, k, 0, interleaved));
        double far = dot(rotated(table, q, distance + shift, interleaved), rotated(table, k, shift, interleaved));
        assertEquals(near, far, 1e-4);
    }

    private static double dot(float[] a) {
        return dot(a, a);
    }

    private static double dot(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += (double) a[i] * b[i];
        }
        return sum;
    }

    /** Growing step by step gives the table that growing at once gives. */
    @Test
    void growing() {
        RopeTable steps = new RopeTable(PLAIN, 8, true);
        RopeTable once = new RopeTable(PLAIN, 8, true);
        once.reach(1000);
        float[] values = normal(8, 6);
        for (int position = 0; position < 1000; position += 37) {
            assertArrayEquals(rotated(once, values, position, true), rotated(steps, values, position, true));
        }
    }

    @Test
    void copiesAreTheAnglesThatRotate() {
        RopeTable table = new RopeTable(PLAIN, 6, true);
        float[] angles = new float[5 * table.dim()];
        table.copy(5, MemorySegment.ofArray(angles));
        for (int pair = 0; pair < 3; pair++) {
            float[] unit = new float[6];
            unit[pair] = 1; // turned, it is the cosine and the sine
            float[] turned = rotated(table, unit, 4, false);
            assertEquals(turned[pair], angles[4 * 6 + pair]);
            assertEquals(turned[pair + 3], angles[4 * 6 + 3 + pair]);
        }
    }
}
