package dev.gyre.attention.cache;

/** The tile of FP8 quantization: 128 values share one scale. */
final class Fp8Tile {
    /** Values in a tile; the last of a row may be shorter. */
    static final int SIZE = 128;

    private Fp8Tile() {}

    /** The largest magnitude of {@code values[from, to)}. */
    static float amax(float[] values, int from, int to) {
        float amax = 0f;
        for (int i = from; i < to; i++) {
            amax = Math.max(amax, Math.abs(values[i]));
        }
        return amax;
    }
}
