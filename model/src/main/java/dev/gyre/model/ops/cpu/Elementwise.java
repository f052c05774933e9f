package dev.gyre.model.ops.cpu;

import dev.gyre.attention.WorkerPool;

/** The operations that read each activation once. Shapes and formulas as in Ops. */
final class Elementwise {
    /** Rows that one task takes. */
    private static final int BLOCK = 16;

    private final WorkerPool pool;

    Elementwise(WorkerPool pool) {
        this.pool = pool;
    }

    /** What happens to one row. */
    private interface RowTask {
        void run(int row);
    }

    private void eachRow(int rows, RowTask task) {
        pool.run(Math.ceilDiv(rows, BLOCK), (block, worker) -> {
            int end = Math.min(rows, (block + 1) * BLOCK);
            for (int row = block * BLOCK; row < end; row++) {
                task.run(row);
            }
        });
    }

    void rmsNorm(int rows, HostTensor x, float[] gain, float eps, HostTensor out) {
        eachRow(rows, row -> {
            int from = x.row(row);
            int to = out.row(row);
            double squares = 0;
            for (int i = 0; i < gain.length; i++) {
                double value = x.data()[from + i];
                squares += value * value;
            }
            float factor = (float) (1 / Math.sqrt(squares / gain.length + eps));
            for (int i = 0; i < gain.length; i++) {
                out.data()[to + i] = x.data()[from + i] * factor * gain[i];
            }
        });
    }

    void layerNorm(int rows, HostTensor x, float[] gain, float[] bias, float eps, HostTensor out) {
        eachRow(rows, row -> {
            int from = x.row(row);
            int to = out.row(row);
            double sum = 0;
            for (int i = 0; i < gain.length; i++) {
                sum += x.data()[from + i];
            }
            double mean = sum / gain.length;
            double squares = 0;
            for (int i = 0; i < gain.length; i++) {
                double centred = x.data()[from + i] - mean;
                squares += centred * centred;
            }
            double factor = 1 / Math.sqrt(squares / gain.length + eps);
            for (int i = 0; i < gain.length; i++) {
                out.data()[to + i] = (float) ((x.data()[from + i] - mean) * factor * gain[i] + bias[i]);
            }
        });
    }

    void add(int rows, HostTensor x, HostTensor sum) {
        eachRow(rows, row -> {
            int from = x.row(row);
            int to = sum.row(row);
            for (int i = 0; i < x.columns(); i++) {
                sum.data()[to + i] += x.data()[from + i];
            }
        });
    }

    void scale(int rows, HostTensor x, float factor) {
        eachRow(rows, row -> {
            int at = x.row(row);
            for (int i = 0; i < x.columns(); i++) {
                x.data()[at + i] *= factor;
            }
        });
    }
}
