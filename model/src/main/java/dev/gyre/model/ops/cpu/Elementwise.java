package dev.gyre.model.ops.cpu;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.WorkerPool;
import dev.gyre.model.ops.RopeTable;

/**
 * The operations that read each activation once. Shapes and formulas as in Ops. Plain loops, which the compiler turns
 * into vectors; sums are in f64, every fourth value on its own, so that they need not wait for one another and are the
 * same on every machine.
 *
 * <p>One object serves all calls: a decode step makes some hundred of them and leaves no garbage.
 */
final class Elementwise implements WorkerPool.Task {
    /** Rows that one task takes. */
    private static final int BLOCK = 16;

    private final WorkerPool pool;
    private Operation operation;
    private int rows;
    private HostTensor x;
    private HostTensor out;
    private float[] gain;
    private float[] bias;
    private float number;
    private QueryRows positions;
    private int heads;
    private int rotated;
    private RopeTable table;
    private boolean interleaved;

    private enum Operation {
        RMS_NORM,
        LAYER_NORM,
        ADD,
        SCALE,
        ROPE
    }

    Elementwise(WorkerPool pool) {
        this.pool = pool;
    }

    void rmsNorm(int rows, HostTensor x, float[] gain, float eps, HostTensor out) {
        start(Operation.RMS_NORM, rows, x, gain, null, eps, out);
    }

    void layerNorm(int rows, HostTensor x, float[] gain, float[] bias, float eps, HostTensor out) {
        start(Operation.LAYER_NORM, rows, x, gain, bias, eps, out);
    }

    void add(int rows, HostTensor x, HostTensor sum) {
        start(Operation.ADD, rows, x, null, null, 0, sum);
    }

    void scale(int rows, HostTensor x, float factor) {
        start(Operation.SCALE, rows, x, null, null, factor, x);
    }

    /** As in Ops; the table must reach the rows' positions. */
    void rope(QueryRows rows, HostTensor x, int heads, int from, RopeTable table, boolean interleaved) {
        positions = rows;
        this.heads = heads;
        rotated = from;
        this.table = table;
        this.interleaved = interleaved;
        start(Operation.ROPE, rows.rows(), x, null, null, 0, x);
    }

    private void start(
            Operation what, int rowCount, HostTensor from, float[] gains, float[] biases, float value, HostTensor to) {
        operation = what;
        rows = rowCount;
        x = from;
        gain = gains;
        bias = biases;
        number = value;
        out = to;
        pool.run(Math.ceilDiv(rowCount, BLOCK), this);
    }

    @Override
    public void run(int block, int worker) {
        int end = Math.min(rows, (block + 1) * BLOCK);
        for (int row = block * BLOCK; row < end; row++) {
            int from = x.row(row);
            int to = out.row(row);
            switch (operation) {
                case RMS_NORM -> rmsNorm(x.data(), from, gain, number, out.data(), to);
                case LAYER_NORM -> layerNorm(x.data(), from, gain, bias, number, out.data(), to);
                case ADD -> addScaled(x.data(), from, 1f, out.data(), to, x.columns());
                case SCALE -> scale(x.data(), from, number, x.columns());
                case ROPE -> rotate(from, positions.position(row));
            }
        }
    }

    private void rotate(int from, int position) {
        int width = x.columns() / heads;
        for (int head = 0; head < heads; head++) {
            table.rotate(x.data(), from + head * width + rotated, position, interleaved);
        }
    }

    private static void rmsNorm(float[] x, int from, float[] gain, float eps, float[] out, int to) {
        double squares = squares(x, from, gain.length, 0);
        float factor = (float) (1 / Math.sqrt(squares / gain.length + eps));
        for (int i = 0; i < gain.length; i++) {
            out[to + i] = x[from + i] * factor * gain[i];
        }
    }

    private static void layerNorm(float[] x, int from, float[] gain, float[] bias, float eps, float[] out, int to) {
        double sum = 0;
        for (int i = 0; i < gain.length; i++) {
            sum += x[from + i];
        }
        double mean = sum / gain.length;
        double factor = 1 / Math.sqrt(squares(x, from, gain.length, mean) / gain.length + eps);
        for (int i = 0; i < gain.length; i++) {
            out[to + i] = (float) ((x[from + i] - mean) * factor * gain[i] + bias[i]);
        }
    }

    /** The sum of {@code (x - centre)^2}. */
    private static double squares(float[] x, int from, int count, double centre) {
        double s0 = 0;
        double s1 = 0;
        double s2 = 0;
        double s3 = 0;
        int i = 0;
        for (; i + 4 <= count; i += 4) {
            double x0 = x[from + i] - centre;
            double x1 = x[from + i + 1] - centre;
            double x2 = x[from + i + 2] - centre;
            double x3 = x[from + i + 3] - centre;
            s0 += x0 * x0;
            s1 += x1 * x1;
            s2 += x2 * x2;
            s3 += x3 * x3;
        }
        for (; i < count; i++) {
            double value = x[from + i] - centre;
            s0 += value * value;
        }
        return s0 + s1 + (s2 + s3);
    }

    /** {@code sum += factor * x}. */
    static void addScaled(float[] x, int from, float factor, float[] sum, int to, int count) {
        for (int i = 0; i < count; i++) {
            sum[to + i] += factor * x[from + i];
        }
    }

    private static void scale(float[] x, int at, float factor, int count) {
        for (int i = 0; i < count; i++) {
            x[at + i] *= factor;
        }
    }
}
