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
 * sum runs across lanes. A task takes some columns of a head. FP8 is decoded in registers by each four tokens; with 16
 * registers by each two, where they are few. Otherwise it is decoded to scratch, once for all; to the same bits.
 */
final class VectorAbsorb implements WorkerPool.Task {
    /** Columns of a task: as many as commonly share a scale. */
    private static final int COLUMNS = 128;
    /** Columns that are summed in registers together. */
    private static final int STRIP = 4 * Lanes.COUNT;
    /** Tokens for which FP8 is decoded in registers: with 32 of them four, also for one; with 16 four take twice as long. */
    private static final int TOKENS = RegisterTile.FITS ? 4 : 2;
    /** Up to so many tokens decoding in registers takes less time than to scratch: with 32 of them always. */
    private static final int FEW = RegisterTile.FITS ? Integer.MAX_VALUE : 10;

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
                int to = target + from + c;
                for (int row = 0; row < rows; row += TOKENS) {
                    if (TOKENS == 4) {
                        combineFourFp8(row, query, weightRow, from + c, scales, to);
                    } else {
                        combineTwoFp8(row, query, weightRow, from + c, scales, to);
                    }
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
     * {@code out[to + c] = sum over n of q[query + n] * weight[row + n, column + c]} for a strip of columns, in the order of n,
     * for up to two tokens from {@code first} on.
     */
    private void combineTwoFp8(int first, int query, int row, int column, float[] scales, int to) {
        int second = Math.min(first + 1, rows - 1);
        int x0 = q.row(first) + query;
        int x1 = q.row(second) + query;
        int to0 = out.row(first) + to;
        int to1 = out.row(second) + to;
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

    /** The same for up to four tokens. */
    private void combineFourFp8(int first, int query, int row, int column, float[] scales, int to) {
        float[] x = q.data();
        MemorySegment data = weight.data();
        int columns = weight.columns();
        int second = Math.min(first + 1, rows - 1);
        int third = Math.min(first + 2, rows - 1);
        int fourth = Math.min(first + 3, rows - 1);
        int x0 = q.row(first) + query;
        int x1 = q.row(second) + query;
        int x2 = q.row(third) + query;
        int x3 = q.row(fourth) + query;
        FloatVector a00 = FloatVector.zero(Lanes.FLOATS);
        FloatVector a01 = a00;
        FloatVector a02 = a00;
        FloatVector a03 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a12 = a00;
        FloatVector a13 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a22 = a00;
        FloatVector a23 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        FloatVector a32 = a00;
        FloatVector a33 = a00;
        for (int n = 0; n < shape.nope(); n++) {
            long at = (row + n) * (long) columns + column;
            FloatVector factor = FloatVector.broadcast(Lanes.FLOATS, scales[n]);
            FloatVector v0 = FloatVector.broadcast(Lanes.FLOATS, x[x0 + n]);
            FloatVector v1 = FloatVector.broadcast(Lanes.FLOATS, x[x1 + n]);
            FloatVector v2 = FloatVector.broadcast(Lanes.FLOATS, x[x2 + n]);
            FloatVector v3 = FloatVector.broadcast(Lanes.FLOATS, x[x3 + n]);
            FloatVector y = Decoding.fp8(data, at).mul(factor);
            a00 = v0.fma(y, a00);
            a10 = v1.fma(y, a10);
            a20 = v2.fma(y, a20);
            a30 = v3.fma(y, a30);
            y = Decoding.fp8(data, at + Lanes.COUNT).mul(factor);
            a01 = v0.fma(y, a01);
            a11 = v1.fma(y, a11);
            a21 = v2.fma(y, a21);
            a31 = v3.fma(y, a31);
            y = Decoding.fp8(data, at + 2 * Lanes.COUNT).mul(factor);
            a02 = v0.fma(y, a02);
            a12 = v1.fma(y, a12);
            a22 = v2.fma(y, a22);
            a32 = v3.fma(y, a32);
            y = Decoding.fp8(data, at + 3 * Lanes.COUNT).mul(factor);
            a03 = v0.fma(y, a03);
            a13 = v1.fma(y, a13);
            a23 = v2.fma(y, a23);
            a33 = v3.fma(y, a33);
        }
        float[] target = out.data();
        int to0 = out.row(first) + to;
        a00.intoArray(target, to0);
        a01.intoArray(target, to0 + Lanes.COUNT);
        a02.intoArray(target, to0 + 2 * Lanes.COUNT);
        a03.intoArray(target, to0 + 3 * Lanes.COUNT);
        int to1 = out.row(second) + to;
        a10.intoArray(target, to1);
        a11.intoArray(target, to1 + Lanes.COUNT);
        a12.intoArray(target, to1 + 2 * Lanes.COUNT);
        a13.intoArray(target, to1 + 3 * Lanes.COUNT);
        int to2 = out.row(third) + to;
        a20.intoArray(target, to2);
        a21.intoArray(target, to2 + Lanes.COUNT);
        a22.intoArray(target, to2 + 2 * Lanes.COUNT);
        a23.intoArray(target, to2 + 3 * Lanes.COUNT);
        int to3 = out.row(fourth) + to;
        a30.intoArray(target, to3);
        a31.intoArray(target, to3 + Lanes.COUNT);
        a32.intoArray(target, to3 + 2 * Lanes.COUNT);
        a33.intoArray(target, to3 + 3 * Lanes.COUNT);
    }

    /** The same for {@code count} columns of a decoded block and two tokens, which may be the same. */
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
