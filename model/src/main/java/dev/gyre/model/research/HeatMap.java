package dev.gyre.model.research;

/**
 * Values of chosen tokens (down) and the tokens that they look at (across), averaged over cells where there are more
 * than a picture has room for: at most 4 MiB.
 */
public final class HeatMap {
    /** The most cells across and down. */
    public static final int MOST = 1024;

    private final int rows;
    private final int columns;
    private final int height;
    private final int width;
    private final float[] sums;

    HeatMap(int rows, int columns) {
        this.rows = rows;
        this.columns = columns;
        height = Math.min(rows, MOST);
        width = Math.min(columns, MOST);
        sums = new float[height * width];
    }

    void add(int row, int column, double value) {
        sums[cell(row, rows, height) * width + cell(column, columns, width)] += (float) value;
    }

    private static int cell(int index, int count, int cells) {
        return (int) ((long) index * cells / count);
    }

    /** Tokens or cells down. */
    public int height() {
        return height;
    }

    /** Tokens or cells across. */
    public int width() {
        return width;
    }

    /** The mean over a cell. */
    public double value(int y, int x) {
        return (double) sums[y * width + x] / size(y, rows, height) / size(x, columns, width);
    }

    /** How many of the numbers below {@code count} fall into a cell. */
    private static long size(int cell, int count, int cells) {
        return first(cell + 1, count, cells) - first(cell, count, cells);
    }

    private static long first(int cell, int count, int cells) {
        return Math.ceilDiv((long) cell * count, (long) cells);
    }
}
