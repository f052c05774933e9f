package dev.gyre.model.ops.cpu;

import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.simd.Decoding;
import dev.gyre.attention.simd.Lanes;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.ops.MlaShape;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

import jdk.incubator.vector.FloatVector;

/**
 * {@code out = q_nope W_UK} for every head, with the Vector API: lanes run along the latent, and sums along q_nope, so no
 * sum runs across lanes. A task takes some columns of a head. For few tokens FP8 is decoded in registers by each pair of
 * them, otherwise to scratch, once for all; to the same bits.
 */
final class VectorAbsorb implements WorkerPool.Task {
    /** Columns of a task: as many as commonly share a scale. */
    private static final int COLUMNS = 128;
    /** Columns that are summed in registers together. */
    private static final int STRIP = 4 * Lanes.COUNT;
    /** Up to so many tokens decoding in registers takes less time. */
    private static final int FEW = 32;

    private final WorkerPool pool;
    /** By worker, {@code [nope, COLUMNS]}: a decoded block. */
    private final float[][] scratch;
    /** By worker, {@code [nope]}: what codes of a strip are multiplied with. */
    private final float[][] factors;
    private int rows;
    private HostTensor q;
    private Weight weight;
    private MlaShape shape;
    private HostTensor out;
    private int blocks;

    VectorAbsorb(WorkerPool pool) {
        this.pool = pool;
        scratch = new float[pool.threads()][0];
        factors = new float[pool.threads()][0];
    }

    /** As in {@link Kernels#absorb}. */
    void run(int rows, HostTensor q, Weight weight, MlaShape shape, HostTensor out) {
        this.rows = rows;
        this.q = q;
        this.weight = weight;
        this.shape = shape;
        this.out = out;
        blocks = Math.ceilDiv(shape.latent(), COLUMNS);
        pool.run(Math.multiplyExact(shape.heads(), blocks), this);
    }

    @Override
    public void run(int index, int worker) {
        int head = index / blocks;
        int from = index % blocks * COLUMNS;
        int count = Math.min(COLUMNS, shape.latent() - from);
        int weightRow = head * (shape.nope() + shape.value());
        int query = head * (shape.nope() + shape.rope());
        int target = head * (shape.latent() + shape.rope());
        if (rows <= FEW && decodesInRegisters(weightRow, from, count)) {
            for (int c = 0; c < count; c += STRIP) {
                float[] scales = factors(weightRow, from + c, worker);
                for (int row = 0; row < rows; row += 2) {
                    int pair = Math.min(row + 1, rows - 1);
                    int to = target + from + c;
                    combineFp8(q.row(row) + query, q.row(pair) + query, weightRow, from + c, scales, out.row(row) + to,
                            out.row(pair) + to);
                }
            }
        } else {
            float[] block = decode(weightRow, from, count, worker);
            for (int row = 0; row < rows; row += 2) {
                int pair = Math.min(row + 1, rows - 1);
                int to = target + from;
                combine(q.row(row) + query, q.row(pair) + query, block, count, out.row(row) + to, out.row(pair) + to);
            }
        }
        for (int row = 0; row < rows && from == 0; row++) {
            int rope = q.row(row) + query + shape.nope();
            System.arraycopy(q.data(), rope, out.data(), out.row(row) + target + shape.latent(), shape.rope());
        }
    }

    /** Whether no strip of these columns lies in two blocks of scales, and all scales suit {@link Decoding#fp8}. */
    private boolean decodesInRegisters(int weightRow, int from, int count) {
        if (weight.dtype() != DType.F8_E4M3
                || Lanes.BYTES.length() != Lanes.COUNT
                || count % STRIP != 0
                || weight.blockColumns() % STRIP != 0) {
            return false;
        }
        int end = weightRow + shape.nope();
        for (int row = weightRow; row < end; row = weight.endOfScales(row)) {
            for (int c = from; c < from + count; c += STRIP) {
                if (!(Math.abs(weight.scale(row, c)) < Decoding.FP8_SCALE_LIMIT)) {
                    return false;
                }
            }
        }
        return true;
    }

    /** By row, the factor of {@link Decoding#fp8} for the strip at this column. */
    private float[] factors(int weightRow, int column, int worker) {
        if (factors[worker].length < shape.nope()) {
            factors[worker] = new float[shape.nope()];
        }
        for (int n = 0; n < shape.nope(); ) {
            int end = Math.min(shape.nope(), weight.endOfScales(weightRow + n) - weightRow);
            Arrays.fill(factors[worker], n, end, weight.scale(weightRow + n, column) * Decoding.FP8_FACTOR);
            n = end;
        }
        return factors[worker];
    }

    private float[] decode(int weightRow, int from, int count, int worker) {
        if (scratch[worker].length < shape.nope() * COLUMNS) {
            scratch[worker] = new float[Math.multiplyExact(shape.nope(), COLUMNS)];
        }
        for (int n = 0; n < shape.nope(); n++) {
            VectorRows.decode(weight, weightRow + n, from, from + count, scratch[worker], n * COLUMNS);
        }
        return scratch[worker];
    }

    /**
     * {@code out[to + c] = sum over n of q[x + n] * weight[row + n, column + c]} for a strip of columns, in the order of n,
     * for two tokens, which may be the same.
     */
    private void combineFp8(int x0, int x1, int row, int column, float[] scales, int to0, int to1) {
        float[] x = q.data();
        MemorySegment data = weight.data();
        int columns = weight.columns();
        FloatVector a00 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a01 = a00;
        FloatVector a02 = a00;
        FloatVector a03 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a12 = a00;
        FloatVector a13 = a00;
        for (int n = 0; n < shape.nope(); n++) {
            long at = (row + n) * (long) columns + column;
            FloatVector factor = FloatVector.broadcast(Lanes.FLOATS, scales[n]);
            FloatVector v0 = FloatVector.broadcast(Lanes.FLOATS, x[x0 + n]);
            FloatVector v1 = FloatVector.broadcast(Lanes.FLOATS, x[x1 + n]);
            FloatVector y = Decoding.fp8(data, at).mul(factor);
            a00 = v0.fma(y, a00);
            a10 = v1.fma(y, a10);
            y = Decoding.fp8(data, at + Lanes.COUNT).mul(factor);
            a01 = v0.fma(y, a01);
            a11 = v1.fma(y, a11);
            y = Decoding.fp8(data, at + 2 * Lanes.COUNT).mul(factor);
            a02 = v0.fma(y, a02);
            a12 = v1.fma(y, a12);
            y = Decoding.fp8(data, at + 3 * Lanes.COUNT).mul(factor);
            a03 = v0.fma(y, a03);
            a13 = v1.fma(y, a13);
        }
        float[] target = out.data();
        a00.intoArray(target, to0);
        a01.intoArray(target, to0 + Lanes.COUNT);
        a02.intoArray(target, to0 + 2 * Lanes.COUNT);
        a03.intoArray(target, to0 + 3 * Lanes.COUNT);
        a10.intoArray(target, to1);
        a11.intoArray(target, to1 + Lanes.COUNT);
        a12.intoArray(target, to1 + 2 * Lanes.COUNT);
        a13.intoArray(target, to1 + 3 * Lanes.COUNT);
    }

    /** The same for {@code count} columns of a decoded block. */
    private void combine(int x0, int x1, float[] block, int count, int to0, int to1) {
        float[] x = q.data();
        float[] target = out.data();
        int c = 0;
        for (; c + STRIP <= count; c += STRIP) {
            FloatVector a00 = FloatVector.zero(Lanes.FLOATS);
            FloatVector a01 = a00;
            FloatVector a02 = a00;
            FloatVector a03 = a00;
            FloatVector a10 = a00;
            FloatVector a11 = a00;
            FloatVector a12 = a00;
            FloatVector a13 = a00;
            for (int n = 0; n < shape.nope(); n++) {
                FloatVector v0 = FloatVector.broadcast(Lanes.FLOATS, x[x0 + n]);
                FloatVector v1 = FloatVector.broadcast(Lanes.FLOATS, x[x1 + n]);
                int w = n * COLUMNS + c;
                FloatVector y = FloatVector.fromArray(Lanes.FLOATS, block, w);
                a00 = v0.fma(y, a00);
                a10 = v1.fma(y, a10);
                y = FloatVector.fromArray(Lanes.FLOATS, block, w + Lanes.COUNT);
                a01 = v0.fma(y, a01);
                a11 = v1.fma(y, a11);
                y = FloatVector.fromArray(Lanes.FLOATS, block, w + 2 * Lanes.COUNT);
                a02 = v0.fma(y, a02);
                a12 = v1.fma(y, a12);
                y = FloatVector.fromArray(Lanes.FLOATS, block, w + 3 * Lanes.COUNT);
                a03 = v0.fma(y, a03);
                a13 = v1.fma(y, a13);
            }
            a00.intoArray(target, to0 + c);
            a01.intoArray(target, to0 + c + Lanes.COUNT);
            a02.intoArray(target, to0 + c + 2 * Lanes.COUNT);
            a03.intoArray(target, to0 + c + 3 * Lanes.COUNT);
            a10.intoArray(target, to1 + c);
            a11.intoArray(target, to1 + c + Lanes.COUNT);
            a12.intoArray(target, to1 + c + 2 * Lanes.COUNT);
            a13.intoArray(target, to1 + c + 3 * Lanes.COUNT);
        }
        for (; c < count; c++) {
            float sum0 = 0;
            float sum1 = 0;
            for (int n = 0; n < shape.nope(); n++) {
                sum0 = Math.fma(x[x0 + n], block[n * COLUMNS + c], sum0);
                sum1 = Math.fma(x[x1 + n], block[n * COLUMNS + c], sum1);
            }
            target[to0 + c] = sum0;
            target[to1 + c] = sum1;
        }
    }
}
