package dev.gyre.benchmarks;

import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.ops.cpu.HostTensor;
import dev.gyre.model.ops.cpu.Kernels;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Linear layers of DeepSeek-V3.2: q_a_proj, and a dense MLP's projection that no last-level cache holds. */
@State(Scope.Benchmark)
public class Linear {
    /** Who computes. */
    @Param({"reference", "vector"})
    public String implementation;

    /** Dtype of the weights. */
    @Param({"F8_E4M3", "BF16"})
    public String dtype;

    /** Weight rows times columns. */
    @Param({"1536x7168", "18432x7168"})
    public String shape;

    /** Rows of x: 1 is decode. */
    @Param({"1", "64"})
    public int tokens;

    private WorkerPool pool;
    private Arena arena;
    private Weight weight;
    private HostTensor x;
    private HostTensor out;
    private Kernels kernels;

    /** Makes weights and input and checks some of the output. */
    @Setup
    public void setUp() {
        pool = new WorkerPool(Inputs.threads());
        arena = Arena.ofShared();
        int rows = Integer.parseInt(shape.substring(0, shape.indexOf('x')));
        int columns = Integer.parseInt(shape.substring(shape.indexOf('x') + 1));
        weight = weight(rows, columns);
        x = HostTensor.allocate(tokens, columns);
        System.arraycopy(Inputs.normal(tokens * columns, 5), 0, x.data(), 0, tokens * columns);
        out = HostTensor.allocate(tokens, rows);
        kernels = Kernels.of(implementation, pool);
        multiply();
        int checked = 100;
        float[] expected = new float[checked];
        float[] found = new float[checked];
        float[] row = new float[columns];
        for (int i = 0; i < checked; i++) {
            int output = i * 151 % rows;
            int token = i % tokens;
            weight.decodeRow(output, row);
            double sum = 0;
            for (int c = 0; c < columns; c++) {
                sum += (double) row[c] * x.data()[token * columns + c];
            }
            expected[i] = (float) sum;
            found[i] = out.data()[token * rows + output];
        }
        Inputs.check(expected, found, 1e-5);
    }

    private Weight weight(int rows, int columns) {
        long count = (long) rows * columns;
        float[] some = Inputs.normal(1 << 16, 6);
        if (dtype.equals("BF16")) {
            MemorySegment data = arena.allocate(count * Short.BYTES, 64);
            for (long i = 0; i < count; i++) {
                data.setAtIndex(ValueLayout.JAVA_SHORT, i, Bf16.encode(some[(int) (i * 7919 & 0xffff)]));
            }
            return new Weight("bf16", DType.BF16, rows, columns, data);
        }
        MemorySegment data = arena.allocate(count, 64);
        for (long i = 0; i < count; i++) {
            data.set(ValueLayout.JAVA_BYTE, i, Fp8E4M3.encode(some[(int) (i * 7919 & 0xffff)] * 100));
        }
        int blocks = Math.ceilDiv(rows, 128) * Math.ceilDiv(columns, 128);
        MemorySegment scales = arena.allocate(blocks * (long) Float.BYTES, 64);
        float[] factors = new float[blocks];
        for (int i = 0; i < blocks; i++) {
            factors[i] = 1e-4f * (1 + i % 5);
        }
        MemorySegment.copy(factors, 0, scales, ValueLayout.JAVA_FLOAT, 0, blocks);
        return new Weight("fp8", DType.F8_E4M3, rows, columns, data, scales, 128, 128);
    }

    /** Gives memory and threads back. */
    @TearDown
    public void tearDown() {
        pool.close();
        arena.close();
    }

    /** All tokens. */
    @Benchmark
    public HostTensor multiply() {
        kernels.linear(tokens, x, weight, out);
        return out;
    }
}
