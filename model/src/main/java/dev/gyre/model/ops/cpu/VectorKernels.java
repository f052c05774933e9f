package dev.gyre.model.ops.cpu;

import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.simd.Lanes;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.ops.MlaShape;
import dev.gyre.model.ops.cpu.VectorRows.Scales;

import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.Map;

import jdk.incubator.vector.FloatVector;

/**
 * Matrix products with the Vector API. A task takes a block of weight rows. FP8 and bf16 are decoded in registers: for few
 * tokens by each of them, for more by eight together ({@link RegisterTile}). Where that cannot be, for want of registers or
 * because of the format or its scales, a block of rows is decoded once to scratch that stays in the second-level cache, and
 * multiplied with four tokens at a time. All sum in the same order ({@link VectorDots}), so a token's result does not depend
 * on how many others there are.
 */
public final class VectorKernels implements Kernels {
    /** From this many tokens on, it pays to use a decoded weight for several of them. */
    private static final int MANY = 4;
    /** Weight rows of a task: a multiple of the three that are multiplied together. */
    private static final int ROWS = 24;
    /** At most so many where weights are decoded in registers: a divisor of what shares a token times scales. */
    private static final int REGISTER_ROWS = 64;
    /** Bytes of weights that several groups of tokens are multiplied with: half of a common second-level cache. */
    private static final int GROUP_BYTES = 512 << 10;

    /** Beyond it e^x is near the largest float; x / e^-x is 0 long before. */
    private static final float EXP_LIMIT = 87f;

    private final WorkerPool pool;
    private final float[][] scratch;
    private final VectorDots[] dots;
    private final Map<Weight, Scales> scales = new IdentityHashMap<>();
    private final Linear linear = new Linear();
    private final VectorAbsorb absorb;
    private final SwiGlu swiGlu = new SwiGlu();

    /** @param pool the threads that share weight rows */
    public VectorKernels(WorkerPool pool) {
        this.pool = pool;
        scratch = new float[pool.threads()][0];
        dots = new VectorDots[pool.threads()];
        Arrays.setAll(dots, i -> new VectorDots());
        absorb = new VectorAbsorb(pool);
    }

    private void reserve(int size) {
        for (int worker = 0; worker < scratch.length; worker++) {
            if (scratch[worker].length < size) {
                scratch[worker] = new float[size];
            }
        }
    }

    @Override
    public void linear(int rows, HostTensor x, Weight weight, HostTensor out) {
        linear.clear();
        linear.add(rows, x, 0, weight, out, 0, 1, weight.rows(), weight.rows(), 0);
        linear.run();
    }

    @Override
    public void linear(LinearGroups groups) {
        linear.clear();
        for (int i = 0; i < groups.count(); i++) {
            LinearGroups.Group one = groups.get(i);
            int outputs = one.weight.rows();
            linear.add(one.rows, one.x, one.xRow, one.weight, one.out, one.outRow, 1, outputs, outputs, 0);
        }
        linear.run();
    }

    /** For every head the rows of W_UV times that head's latent. */
    @Override
    public void expand(int rows, HostTensor x, Weight kvB, MlaShape shape, HostTensor out) {
        linear.clear();
        linear.add(rows, x, 0, kvB, out, 0, shape.heads(), shape.nope() + shape.value(), shape.value(), shape.nope());
        linear.run();
    }

    @Override
    public void swiGlu(int rows, HostTensor gate, HostTensor up, HostTensor out) {
        swiGlu.start(rows, gate, up, out);
    }

    @Override
    public void absorb(int rows, HostTensor q, Weight kvB, MlaShape shape, HostTensor out) {
        absorb.run(rows, q, kvB, shape, out);
    }

    /**
     * {@code out = x w^T}, or one such product for every head: then a head has {@code headRows} rows in the weight, of
     * which those from {@code skip} on are used, and its own columns in x and out.
     */
    private static final class Product {
        private int rows;
        private HostTensor x;
        private int input;
        private Weight weight;
        private HostTensor out;
        private int output;
        private int headRows;
        private int outputs;
        private int skip;
        private int blocks;
        private boolean decodeFirst;
        /** Whether several tokens are multiplied with a decoded vector; otherwise each by itself. */
        private boolean grouped;
        private Scales scales;
        private int taskRows;
        /** How many tasks there are in this product and those before it. */
        private int endTask;
    }

    /** Products that are computed together: a task is a block of weight rows of one of them. */
    private final class Linear implements WorkerPool.Task {
        private Product[] products = {new Product()};
        private int count;

        void clear() {
            count = 0;
        }

        void add(int rows, HostTensor x, int xRow, Weight weight, HostTensor out, int outRow, int heads, int headRows,
                int outputs, int skip) {
            if (count == products.length) {
                products = Arrays.copyOf(products, count * 2);
                Arrays.setAll(products, i -> i < count ? products[i] : new Product());
            }
            Product product = products[count];
            product.rows = rows;
            product.x = x;
            product.input = xRow * x.stride();
            product.weight = weight;
            product.out = out;
            product.output = outRow * out.stride();
            product.headRows = headRows;
            product.outputs = outputs;
            product.skip = skip;
            product.scales = scales.computeIfAbsent(weight, VectorRows::scales);
            boolean atTokens = product.scales == Scales.POWERS_OF_TWO || product.scales == Scales.ORDINARY;
            boolean inRegisters = weight.dtype() == DType.BF16 || atTokens && Lanes.BYTES.length() == Lanes.COUNT;
            product.grouped = rows >= MANY && inRegisters && RegisterTile.FITS;
            product.decodeFirst = !inRegisters || rows >= MANY && !product.grouped;
            product.taskRows = product.decodeFirst ? ROWS : product.grouped ? groupRows(weight) : REGISTER_ROWS;
            product.blocks = Math.ceilDiv(outputs, product.taskRows);
            if (product.decodeFirst) {
                reserve(Math.multiplyExact(ROWS, weight.columns()));
            }
            int before = count == 0 ? 0 : products[count - 1].endTask;
            product.endTask = Math.addExact(before, Math.multiplyExact(heads, product.blocks));
            count++;
        }

        /** As many rows as stay in the second-level cache until all tokens were multiplied with them. */
        private int groupRows(Weight weight) {
            int rows = GROUP_BYTES / Math.multiplyExact(weight.columns(), weight.dtype().bytes());
            return Math.clamp(rows - rows % VectorDots.GROUP_ROWS, VectorDots.GROUP_ROWS, REGISTER_ROWS);
        }

        void run() {
            pool.run(products[count - 1].endTask, this);
        }

        @Override
        public void run(int index, int worker) {
            int low = 0;
            for (int high = count - 1; low < high; ) { // the first product whose end lies behind the task
                int middle = (low + high) >>> 1;
                if (products[middle].endTask > index) {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            run(products[low], low == 0 ? index : index - products[low - 1].endTask, worker);
        }

        private void run(Product product, int task, int worker) {
            int head = task / product.blocks;
            int first = task % product.blocks * product.taskRows;
            int weightRow = head * product.headRows + product.skip + first;
            int endRow = weightRow + Math.min(product.taskRows, product.outputs - first);
            int input = product.input + head * product.weight.columns();
            int output = product.output + head * product.outputs + first;
            while (weightRow < endRow) {
                int rows = Math.min(endRow, product.weight.endOfScales(weightRow)) - weightRow;
                multiply(product, weightRow, rows, input, output, worker);
                weightRow += rows;
                output += rows;
            }
        }

        /** Some rows that share their scales. */
        private void multiply(Product product, int weightRow, int count, int input, int output, int worker) {
            Weight weight = product.weight;
            HostTensor x = product.x;
            HostTensor out = product.out;
            if (product.grouped) {
                dots[worker].group(product.rows, x, input, weight, weightRow, count, out, output);
                return;
            }
            if (!product.decodeFirst) {
                for (int row = 0; row < product.rows; row++) {
                    int to = out.row(row) + output;
                    dots[worker].one(x.data(), x.row(row) + input, weight, weightRow, count, out.data(), to);
                }
                return;
            }
            float[] block = scratch[worker];
            boolean atTokens = product.scales == Scales.ORDINARY;
            if (atTokens) {
                VectorRows.decodeCodes(weight, weightRow, count, block);
            } else {
                VectorRows.decodeRows(weight, weightRow, count, block);
            }
            dots[worker].many(product.rows, x, input, weight, atTokens, weightRow, block, count, out, output);
        }
    }

    /** {@code silu(gate) * up}, a row a task. */
    private final class SwiGlu implements WorkerPool.Task {
        private HostTensor gate;
        private HostTensor up;
        private HostTensor out;

        void start(int rows, HostTensor gate, HostTensor up, HostTensor out) {
            this.gate = gate;
            this.up = up;
            this.out = out;
            pool.run(rows, this);
        }

        @Override
        public void run(int row, int worker) {
            swiGlu(
                    gate.data(), gate.row(row), up.data(), up.row(row), out.data(), out.row(row), gate.columns());
        }
    }

    /** {@code out = gate / (1 + exp(-gate)) * up}. */
    private static void swiGlu(float[] gate, int g, float[] up, int u, float[] out, int o, int count) {
        int i = 0;
        for (; i <= count - Lanes.COUNT; i += Lanes.COUNT) {
            FloatVector x = FloatVector.fromArray(Lanes.FLOATS, gate, g + i);
            x.div(Lanes.exp(x.neg().min(EXP_LIMIT)).add(1f))
                    .mul(FloatVector.fromArray(Lanes.FLOATS, up, u + i))
                    .intoArray(out, o + i);
        }
        for (; i < count; i++) {
            float x = gate[g + i];
            out[o + i] = x / (Lanes.exp(Math.min(-x, EXP_LIMIT)) + 1f) * up[u + i];
        }
    }
}
