package dev.gyre.tornado.decoder;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.Random;

class StagesTest {
    @Test
    void byWeight() {
        assertArrayEquals(new int[] {0}, Stages.split(new long[] {5, 1, 9}, 1));
        assertArrayEquals(new int[] {0, 2}, Stages.split(new long[] {5, 1, 9}, 2));
        assertArrayEquals(new int[] {0, 1, 2}, Stages.split(new long[] {5, 1, 9}, 3));
        assertArrayEquals(new int[] {0, 1}, Stages.split(new long[] {9, 1, 1, 1}, 2));
        assertArrayEquals(new int[] {0, 3}, Stages.split(new long[] {1, 1, 1, 9}, 2));
        assertArrayEquals(new int[] {0, 1, 2}, Stages.split(new long[] {0, 0, 0}, 3));
    }

    /** DeepSeek-V3.2 on eight devices: 3 dense layers of 0.6 GB, 58 of 11.5 GB, embedding and head of 1.9 GB each. */
    @Test
    void deepSeekOnEight() {
        long[] bytes = new long[61];
        Arrays.fill(bytes, 115);
        Arrays.fill(bytes, 0, 3, 6);
        bytes[0] += 19;
        bytes[60] += 19;
        int[] firsts = Stages.split(bytes, 8);
        assertEquals(8 * 115, largest(bytes, firsts));
    }

    @Test
    void noOtherCutIsBetter() {
        Random random = new Random(3);
        for (int i = 0; i < 200; i++) {
            long[] bytes = random.longs(1 + random.nextInt(7), 0, 20).toArray();
            int stages = 1 + random.nextInt(bytes.length);
            int[] firsts = Stages.split(bytes, stages);
            assertEquals(stages, firsts.length);
            assertEquals(0, firsts[0]);
            for (int s = 1; s < stages; s++) {
                assertTrue(firsts[s] > firsts[s - 1]);
            }
            long best = Long.MAX_VALUE;
            for (int cuts = 0; cuts < 1 << bytes.length; cuts += 2) { // every bit above the lowest begins a stage
                if (Integer.bitCount(cuts) == stages - 1) {
                    best = Math.min(best, largest(bytes, firsts(cuts)));
                }
            }
            assertEquals(best, largest(bytes, firsts));
        }
    }

    private static int[] firsts(int cuts) {
        int[] firsts = new int[Integer.bitCount(cuts) + 1];
        for (int s = 1; s < firsts.length; s++) {
            firsts[s] = Integer.numberOfTrailingZeros(cuts);
            cuts &= cuts - 1;
        }
        return firsts;
    }

    private static long largest(long[] bytes, int[] firsts) {
        long largest = 0;
        for (int s = 0; s < firsts.length; s++) {
            int end = s + 1 < firsts.length ? firsts[s + 1] : bytes.length;
            largest = Math.max(largest, Arrays.stream(bytes, firsts[s], end).sum());
        }
        return largest;
    }
}
