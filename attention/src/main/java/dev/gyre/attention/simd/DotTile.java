package dev.gyre.attention.simd;

import jdk.incubator.vector.FloatVector;

/**
 * Dot products of four rows with three others: the tile that fits the sixteen vector registers of common processors.
 * Every product sums in the same order as it would alone: lanes along the columns, then the lanes as in
 * {@link Lanes#sum}, then the columns behind the last whole vector. Belongs to one thread.
 *
 * <p>Where there are fewer rows, the same one may be given several times.
 */
public final class DotTile {
    /** Rows of x. */
    public static final int X_ROWS = 4;
    /** Rows of y. */
    public static final int Y_ROWS = 3;

    /** Sums by lanes, on their way to one number: kept as vectors until then, they would become objects. */
    private final float[] lanes = new float[X_ROWS * Y_ROWS * Lanes.COUNT];
    private final float[] sums = new float[X_ROWS * Y_ROWS];

    /**
     * Multiplies {@code count} columns, from x0, x1, x2 and x3 on in {@code x}, with as many from y0, y1 and y2 on in
     * {@code y}.
     */
    public void multiply(float[] x, int x0, int x1, int x2, int x3, float[] y, int y0, int y1, int y2, int count) {
        int end = Lanes.FLOATS.loopBound(count);
        FloatVector a00 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a01 = a00;
        FloatVector a02 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a12 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a22 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        FloatVector a32 = a00;
        for (int i = 0; i < end; i += Lanes.COUNT) {
            FloatVector w0 = FloatVector.fromArray(Lanes.FLOATS, y, y0 + i);
            FloatVector w1 = FloatVector.fromArray(Lanes.FLOATS, y, y1 + i);
            FloatVector w2 = FloatVector.fromArray(Lanes.FLOATS, y, y2 + i);
            FloatVector v = FloatVector.fromArray(Lanes.FLOATS, x, x0 + i);
            a00 = v.fma(w0, a00);
            a01 = v.fma(w1, a01);
            a02 = v.fma(w2, a02);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x1 + i);
            a10 = v.fma(w0, a10);
            a11 = v.fma(w1, a11);
            a12 = v.fma(w2, a12);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x2 + i);
            a20 = v.fma(w0, a20);
            a21 = v.fma(w1, a21);
            a22 = v.fma(w2, a22);
            v = FloatVector.fromArray(Lanes.FLOATS, x, x3 + i);
            a30 = v.fma(w0, a30);
            a31 = v.fma(w1, a31);
            a32 = v.fma(w2, a32);
        }
        a00.intoArray(lanes, 0);
        a01.intoArray(lanes, Lanes.COUNT);
        a02.intoArray(lanes, 2 * Lanes.COUNT);
        a10.intoArray(lanes, 3 * Lanes.COUNT);
        a11.intoArray(lanes, 4 * Lanes.COUNT);
        a12.intoArray(lanes, 5 * Lanes.COUNT);
        a20.intoArray(lanes, 6 * Lanes.COUNT);
        a21.intoArray(lanes, 7 * Lanes.COUNT);
        a22.intoArray(lanes, 8 * Lanes.COUNT);
        a30.intoArray(lanes, 9 * Lanes.COUNT);
        a31.intoArray(lanes, 10 * Lanes.COUNT);
        a32.intoArray(lanes, 11 * Lanes.COUNT);
        for (int i = 0; i < sums.length; i++) {
            sums[i] = Lanes.sum(lanes, i * Lanes.COUNT);
        }
        for (int i = end; i < count; i++) {
            for (int j = 0; j < Y_ROWS; j++) {
                float w = y[(j == 0 ? y0 : j == 1 ? y1 : y2) + i];
                sums[j] = Math.fma(x[x0 + i], w, sums[j]);
                sums[Y_ROWS + j] = Math.fma(x[x1 + i], w, sums[Y_ROWS + j]);
                sums[2 * Y_ROWS + j] = Math.fma(x[x2 + i], w, sums[2 * Y_ROWS + j]);
                sums[3 * Y_ROWS + j] = Math.fma(x[x3 + i], w, sums[3 * Y_ROWS + j]);
            }
        }
    }

    /** The product of a row of x, in [0, 4), with one of y, in [0, 3). */
    public float product(int xRow, int yRow) {
        return sums[xRow * Y_ROWS + yRow];
    }
}
