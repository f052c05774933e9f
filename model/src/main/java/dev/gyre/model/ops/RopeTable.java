package dev.gyre.model.ops;

import dev.gyre.model.config.ModelConfig;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Angles of rotary position embedding, with YaRN (arXiv 2309.00071): frequencies that turn more than {@code betaFast}
 * times within the original context are kept, those that turn less than {@code betaSlow} times are divided by the
 * factor, and between the two a linear ramp over the dimensions mixes both.
 *
 * <p>Angles are computed in f64: a position times a frequency in f32 is off by 5e-4 at position 8000. The tables grow
 * with the positions that were asked for.
 */
public final class RopeTable {
    private final double[] frequencies;
    private final double magnitude;
    private float[] cos = new float[0];
    private float[] sin = new float[0];

    /**
     * @param dim how many values are rotated; even
     * @param magnify whether YaRN's factor on cos and sin applies; it does for attention, not for the indexer
     */
    public RopeTable(ModelConfig.Rope rope, int dim, boolean magnify) {
        frequencies = frequencies(rope, dim);
        magnitude = rope.yarn() != null && magnify ? rope.yarn().magnitude() : 1;
    }

    /** Angle per position of each pair, {@code [dim / 2]}. */
    static double[] frequencies(ModelConfig.Rope rope, int dim) {
        double[] frequencies = new double[dim / 2];
        ModelConfig.Yarn yarn = rope.yarn();
        double low = 0;
        double high = 0;
        if (yarn != null) {
            low = turningDimension(yarn.betaFast(), rope.theta(), dim, yarn.originalPositions());
            high = turningDimension(yarn.betaSlow(), rope.theta(), dim, yarn.originalPositions());
            low = Math.max(yarn.truncate() ? Math.floor(low) : low, 0);
            high = Math.min(yarn.truncate() ? Math.ceil(high) : high, dim - 1);
            if (low == high) {
                high += 0.001; // a step rather than a division by zero
            }
        }
        for (int i = 0; i < frequencies.length; i++) {
            double frequency = Math.pow(rope.theta(), -2.0 * i / dim);
            if (yarn != null) {
                double stretched = Math.clamp((i - low) / (high - low), 0, 1);
                frequency = frequency * (1 - stretched) + frequency / yarn.factor() * stretched;
            }
            frequencies[i] = frequency;
        }
        return frequencies;
    }

    /** The dimension whose frequency turns {@code rotations} times within {@code positions}. */
    private static double turningDimension(double rotations, double theta, int dim, double positions) {
        return dim * Math.log(positions / (rotations * 2 * Math.PI)) / (2 * Math.log(theta));
    }

    /** Makes sure that positions below {@code positions} are in the tables. */
    public void reach(int positions) {
        int half = frequencies.length;
        int have = cos.length / half;
        if (positions <= have) {
            return;
        }
        int want = Math.max(positions, Math.min(Math.multiplyExact(have, 2), Integer.MAX_VALUE / 2 / half));
        cos = Arrays.copyOf(cos, Math.multiplyExact(want, half));
        sin = Arrays.copyOf(sin, Math.multiplyExact(want, half));
        for (int position = have; position < want; position++) {
            for (int i = 0; i < half; i++) {
                double angle = position * frequencies[i];
                cos[position * half + i] = (float) (Math.cos(angle) * magnitude);
                sin[position * half + i] = (float) (Math.sin(angle) * magnitude);
            }
        }
    }

    /** How many values are rotated. */
    public int dim() {
        return 2 * frequencies.length;
    }

    /**
     * Copies the angles of positions [0, positions) for a device: {@code [positions, dim]} floats, of each position the
     * cosines of its pairs, then their sines.
     */
    public void copy(int positions, MemorySegment target) {
        reach(positions);
        int half = frequencies.length;
        for (int position = 0; position < positions; position++) {
            long at = position * 2L * half * Float.BYTES;
            MemorySegment.copy(cos, position * half, target, ValueLayout.JAVA_FLOAT, at, half);
            MemorySegment.copy(sin, position * half, target, ValueLayout.JAVA_FLOAT, at + half * 4L, half);
        }
    }

    /**
     * Rotates {@code values[at, at + dim)} to a position that the tables reach.
     *
     * @param interleaved pairs are (2i, 2i+1); otherwise (i, i + dim/2)
     */
    public void rotate(float[] values, int at, int position, boolean interleaved) {
        int half = frequencies.length;
        int angle = position * half;
        if (interleaved) {
            for (int i = 0; i < half; i++) {
                float c = cos[angle + i];
                float s = sin[angle + i];
                float x = values[at + 2 * i];
                float y = values[at + 2 * i + 1];
                values[at + 2 * i] = x * c - y * s;
                values[at + 2 * i + 1] = y * c + x * s;
            }
        } else {
            for (int i = 0; i < half; i++) {
                float c = cos[angle + i];
                float s = sin[angle + i];
                float x = values[at + i];
                float y = values[at + half + i];
                values[at + i] = x * c - y * s;
                values[at + half + i] = y * c + x * s;
            }
        }
    }
}
