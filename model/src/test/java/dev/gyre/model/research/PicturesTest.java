package dev.gyre.model.research;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.Random;

/** Histograms and heat maps: whatever is put in is found in the right place. */
class PicturesTest {
    @Test
    void aHistogramCountsEveryScoreBetweenItsEdges() {
        for (double scale : new double[] {1e-30, 1, 1e20}) {
            ScoreHistogram histogram = new ScoreHistogram();
            Random random = new Random(3);
            float[] scores = new float[1000];
            for (int i = 0; i < scores.length; i++) {
                scores[i] = i % 10 == 0 ? 0 : (float) (random.nextGaussian() * scale * (i < 20 ? 0.001 : 1));
                histogram.add(scores[i], i % 3 == 0);
            }
            histogram.add(Float.NaN, true);
            histogram.add(Float.NEGATIVE_INFINITY, true);
            double[] edges = histogram.edges();
            assertEquals(100, histogram.zeros());
            for (int bin = 0; bin < ScoreHistogram.BINS; bin++) {
                long selected = 0;
                long others = 0;
                for (int i = 0; i < scores.length; i++) {
                    if (scores[i] >= edges[bin] && scores[i] < edges[bin + 1]) {
                        selected += i % 3 == 0 ? 1 : 0;
                        others += i % 3 == 0 ? 0 : 1;
                    }
                }
                assertEquals(selected, histogram.selected()[bin], "bin " + bin);
                assertEquals(others, histogram.others()[bin], "bin " + bin);
            }
            assertEquals(1000, Arrays.stream(histogram.selected()).sum() + Arrays.stream(histogram.others()).sum());
            // no more than a factor of two is wasted at either end
            assertTrue(edges[ScoreHistogram.BINS] - edges[0] <= 16 * scale, Arrays.toString(edges));
        }
    }

    @Test
    void anEmptyHistogram() {
        assertArrayEquals(new double[ScoreHistogram.BINS + 1], new ScoreHistogram().edges());
    }

    @Test
    void aSmallMapHasACellForEachPair() {
        HeatMap map = new HeatMap(2, 3);
        map.add(1, 2, 0.25);
        map.add(1, 2, 0.5);
        assertEquals(2, map.height());
        assertEquals(3, map.width());
        assertEquals(0.75, map.value(1, 2));
        assertEquals(0, map.value(0, 2));
    }

    /** The mean over cells of a large map: of ones everywhere it is one everywhere, also where cells differ in size. */
    @Test
    void aLargeMapIsAveraged() {
        HeatMap map = new HeatMap(1, 2500);
        for (int column = 0; column < 2500; column++) {
            map.add(0, column, 1);
        }
        assertEquals(HeatMap.MOST, map.width());
        for (int x = 0; x < map.width(); x++) {
            assertEquals(1, map.value(0, x));
        }
    }
}
