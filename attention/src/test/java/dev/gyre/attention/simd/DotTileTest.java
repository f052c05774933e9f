package dev.gyre.attention.simd;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Random;

class DotTileTest {
    /** Each product sums lane by lane, then the lanes, then the rest, whatever the other rows are. */
    @ParameterizedTest
    @ValueSource(ints = {1, 7, 16, 31, 192, 577})
    void productsSumAsTheyWouldAlone(int count) {
        Random random = new Random(count);
        int gap = 5;
        float[] x = normal(random, 4 * (count + gap));
        float[] y = normal(random, 3 * (count + gap));
        int[] xs = {gap, 2 * gap + count, gap, 3 * count + 3 * gap}; // the third is the first again
        int[] ys = {0, count + gap, 2 * (count + gap)};
        DotTile tile = new DotTile();
        tile.multiply(x, xs[0], xs[1], xs[2], xs[3], y, ys[0], ys[1], ys[2], count);
        for (int i = 0; i < DotTile.X_ROWS; i++) {
            for (int j = 0; j < DotTile.Y_ROWS; j++) {
                assertEquals(dot(x, xs[i], y, ys[j], count), tile.product(i, j), i + ", " + j);
            }
        }
    }

    private static float dot(float[] x, int x0, float[] y, int y0, int count) {
        float[] lanes = new float[Lanes.COUNT];
        int whole = count - count % Lanes.COUNT;
        for (int i = 0; i < whole; i++) {
            lanes[i % Lanes.COUNT] = Math.fma(x[x0 + i], y[y0 + i], lanes[i % Lanes.COUNT]);
        }
        float sum = Lanes.sum(lanes, 0);
        for (int i = whole; i < count; i++) {
            sum = Math.fma(x[x0 + i], y[y0 + i], sum);
        }
        return sum;
    }

    private static float[] normal(Random random, int size) {
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }
}
