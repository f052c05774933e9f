package dev.gyre.benchmarks;

import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.simd.Lanes;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

import jdk.incubator.vector.FloatVector;

/** What the machine can do at best, on as many threads as the operations have. */
@State(Scope.Benchmark)
public class Ceilings {
    /** Multiply-adds of every accumulator of a task. */
    static final int STEPS = 1_000_000;
    /** Independent accumulators: enough for the latency of an FMA on two units. */
    static final int ACCUMULATORS = 12;
    /** Bytes of each of the two buffers: beyond any last-level cache. */
    static final long BYTES = 512L << 20;

    private static final int PARTS = 64;

    private WorkerPool pool;
    private Arena arena;
    private MemorySegment from;
    private MemorySegment to;
    private final float[] sums = new float[64];

    /** Memory and threads. */
    @Setup
    public void setUp() {
        pool = new WorkerPool(Inputs.threads());
        arena = Arena.ofShared();
        from = arena.allocate(BYTES, 64);
        to = arena.allocate(BYTES, 64);
        from.fill((byte) 1);
        to.fill((byte) 2);
    }

    /** Gives both back. */
    @TearDown
    public void tearDown() {
        pool.close();
        arena.close();
    }

    /** 2 * lanes * {@link #ACCUMULATORS} * {@link #STEPS} operations on every thread. */
    @Benchmark
    public float fmaPeak() {
        pool.run(pool.threads(), (index, worker) -> sums[index] = multiplyAdd());
        return sums[0];
    }

    private static float multiplyAdd() {
        FloatVector x = FloatVector.broadcast(Lanes.FLOATS, 0.999f);
        FloatVector y = FloatVector.broadcast(Lanes.FLOATS, 0.001f);
        FloatVector a0 = y;
        FloatVector a1 = y;
        FloatVector a2 = y;
        FloatVector a3 = y;
        FloatVector a4 = y;
        FloatVector a5 = y;
        FloatVector a6 = y;
        FloatVector a7 = y;
        FloatVector a8 = y;
        FloatVector a9 = y;
        FloatVector a10 = y;
        FloatVector a11 = y;
        for (int i = 0; i < STEPS; i++) {
            a0 = a0.fma(x, y);
            a1 = a1.fma(x, y);
            a2 = a2.fma(x, y);
            a3 = a3.fma(x, y);
            a4 = a4.fma(x, y);
            a5 = a5.fma(x, y);
            a6 = a6.fma(x, y);
            a7 = a7.fma(x, y);
            a8 = a8.fma(x, y);
            a9 = a9.fma(x, y);
            a10 = a10.fma(x, y);
            a11 = a11.fma(x, y);
        }
        return Lanes.sum(a0.add(a1).add(a2).add(a3).add(a4).add(a5).add(a6).add(a7).add(a8).add(a9).add(a10).add(a11));
    }

    /** Reads {@link #BYTES} and writes as many. */
    @Benchmark
    public void copy() {
        long part = BYTES / PARTS;
        pool.run(PARTS, (index, worker) -> MemorySegment.copy(from, index * part, to, index * part, part));
    }
}
