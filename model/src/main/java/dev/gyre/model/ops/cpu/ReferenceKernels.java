package dev.gyre.model.ops.cpu;

import dev.gyre.attention.WorkerPool;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.ops.MlaShape;

/** The scalar twins: each weight row is decoded once and multiplied with every token; sums are in f64. */
public final class ReferenceKernels implements Kernels {
    private final WorkerPool pool;

    /** @param pool the threads that share weight rows */
    public ReferenceKernels(WorkerPool pool) {
        this.pool = pool;
    }

    @Override
    public void linear(int rows, HostTensor x, Weight weight, HostTensor out) {
        pool.run(weight.rows(), (output, worker) -> {
            float[] w = new float[weight.columns()];
            weight.decodeRow(output, w);
            for (int row = 0; row < rows; row++) {
                out.data()[out.row(row) + output] = dot(w, x.data(), x.row(row));
            }
        });
    }

    @Override
    public void linear(LinearGroups groups) {
        for (int i = 0; i < groups.count(); i++) {
            LinearGroups.Group group = groups.get(i);
            HostTensor x = group.x.rows(group.xRow, group.rows);
            linear(group.rows, x, group.weight, group.out.rows(group.outRow, group.rows));
        }
    }

    @Override
    public void absorb(int rows, HostTensor q, Weight kvB, MlaShape shape, HostTensor out) {
        int query = shape.nope() + shape.rope();
        int width = shape.latent() + shape.rope();
        pool.run(shape.heads(), (head, worker) -> {
            float[] w = new float[shape.latent()];
            double[] sums = new double[Math.multiplyExact(rows, shape.latent())];
            for (int n = 0; n < shape.nope(); n++) {
                kvB.decodeRow(head * (shape.nope() + shape.value()) + n, w);
                for (int row = 0; row < rows; row++) {
                    double value = q.data()[q.row(row) + head * query + n];
                    for (int i = 0; i < w.length; i++) {
                        sums[row * w.length + i] += value * w[i];
                    }
                }
            }
            for (int row = 0; row < rows; row++) {
                int to = out.row(row) + head * width;
                for (int i = 0; i < w.length; i++) {
                    out.data()[to + i] = (float) sums[row * w.length + i];
                }
                int rope = q.row(row) + head * query + shape.nope();
                System.arraycopy(q.data(), rope, out.data(), to + shape.latent(), shape.rope());
            }
        });
    }

    @Override
    public void expand(int rows, HostTensor x, Weight kvB, MlaShape shape, HostTensor out) {
        pool.run(Math.multiplyExact(shape.heads(), shape.value()), (output, worker) -> {
            int head = output / shape.value();
            float[] w = new float[shape.latent()];
            kvB.decodeRow(head * (shape.nope() + shape.value()) + shape.nope() + output % shape.value(), w);
            for (int row = 0; row < rows; row++) {
                out.data()[out.row(row) + output] = dot(w, x.data(), x.row(row) + head * shape.latent());
            }
        });
    }

    @Override
    public void swiGlu(int rows, HostTensor gate, HostTensor up, HostTensor out) {
        pool.run(rows, (row, worker) -> {
            for (int i = 0; i < gate.columns(); i++) {
                double value = gate.data()[gate.row(row) + i];
                double silu = value / (1 + Math.exp(-value));
                out.data()[out.row(row) + i] = (float) (silu * up.data()[up.row(row) + i]);
            }
        });
    }

    private static float dot(float[] w, float[] x, int at) {
        double sum = 0;
        for (int i = 0; i < w.length; i++) {
            sum += (double) w[i] * x[at + i];
        }
        return (float) sum;
    }
}
