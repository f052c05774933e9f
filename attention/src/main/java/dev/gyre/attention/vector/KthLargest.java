package dev.gyre.attention.vector;

import dev.gyre.attention.simd.Lanes;

import java.util.Arrays;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The k-th largest of some scores, by histograms of 2048 bins: the first spans the range of the scores, so that they
 * spread over its bins whatever they are; the next spans one bin of the one before, and only what lies there is looked
 * at again. Belongs to one worker.
 */
final class KthLargest {
    private static final int BINS_LOG2 = 11;

    private final int[] histogram = new int[1 << BINS_LOG2];
    private int[] keys = new int[0];

    /** The k-th largest of {@code values[at, at + n)}; both zeros are one, NaN counts as negative infinity. */
    float of(float[] values, int at, int n, int k) {
        if (keys.length < n) {
            keys = new int[n];
        }
        IntVector lowest = IntVector.broadcast(Lanes.INTS, Integer.MAX_VALUE);
        IntVector highest = IntVector.broadcast(Lanes.INTS, Integer.MIN_VALUE);
        int end = Lanes.INTS.loopBound(n);
        for (int i = 0; i < end; i += Lanes.COUNT) {
            IntVector key = keys(FloatVector.fromArray(Lanes.FLOATS, values, at + i));
            key.intoArray(keys, i);
            lowest = lowest.min(key);
            highest = highest.max(key);
        }
        int low = lowest.reduceLanes(VectorOperators.MIN);
        int high = highest.reduceLanes(VectorOperators.MAX);
        for (int i = end; i < n; i++) {
            keys[i] = key(values[at + i]);
            low = Math.min(low, keys[i]);
            high = Math.max(high, keys[i]);
        }
        int count = n;
        int wanted = k;
        while (low < high) {
            int shift = Math.max(0, Long.SIZE - Long.numberOfLeadingZeros((long) high - low) - BINS_LOG2);
            int bin = (int) ((long) high - low >> shift);
            Arrays.fill(histogram, 0, bin + 1, 0);
            for (int i = 0; i < count; i++) {
                histogram[keys[i] - low >>> shift]++;
            }
            while (histogram[bin] < wanted) {
                wanted -= histogram[bin--];
            }
            int from = low + (bin << shift);
            int left = 0;
            for (int i = 0; i < count; i++) {
                int key = keys[i];
                keys[left] = key;
                left += key - low >>> shift == bin ? 1 : 0;
            }
            count = left;
            low = from;
            high = (int) Math.min(high, (long) from + (1L << shift) - 1);
        }
        return Float.intBitsToFloat(low ^ low >> 31 & Integer.MAX_VALUE);
    }

    /** {@link #key} of each lane. */
    private static IntVector keys(FloatVector scores) {
        FloatVector lowest = FloatVector.broadcast(Lanes.FLOATS, Float.NEGATIVE_INFINITY);
        FloatVector numbers = scores.add(0f).blend(lowest, scores.test(VectorOperators.IS_NAN));
        IntVector bits = numbers.reinterpretAsInts();
        return bits.lanewise(VectorOperators.XOR, bits.lanewise(VectorOperators.ASHR, 31).and(Integer.MAX_VALUE));
    }

    /** A signed int that is greater for a greater score. */
    private static int key(float score) {
        int bits = Float.floatToRawIntBits(score == score ? score + 0f : Float.NEGATIVE_INFINITY);
        return bits ^ bits >> 31 & Integer.MAX_VALUE;
    }
}
