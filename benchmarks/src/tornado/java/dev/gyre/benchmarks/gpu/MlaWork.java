package dev.gyre.benchmarks.gpu;

import dev.gyre.attention.numeric.Bf16;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.MmaMlaKernels;
import dev.gyre.tornado.kernels.MmaMlaSums;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/** Sparse MLA of 128 heads over 2048 random bf16 rows of a pool. */
final class MlaWork implements Workload {
    private static final int K = 2048;
    private static final float SCALE = 0.04f;
    private static final int SAMPLES = 40;

    private final String name;
    private final int rows;
    private final int pool;
    private final IntArray meta;
    private final FloatArray factors = FloatArray.fromElements(SCALE);
    private final IntArray latents;
    private final IntArray slots;
    private final float[] q;
    private final FloatArray queries;
    private final LongArray packed;
    private final FloatArray highest;
    private final LongArray weights;
    private final int runs;
    private final FloatArray totals;
    private final FloatArray parts;
    private final FloatArray out;

    /** @param pool slots of the cache, a power of two */
    MlaWork(String name, int rows, int pool) {
        this.name = name;
        this.rows = rows;
        this.pool = pool;
        runs = MmaMlaSums.runs(rows, K);
        meta = IntArray.fromElements(rows, K, pool, MmaMlaSums.runTokens(rows, K), runs);
        latents = new IntArray(Decode.LEAD + pool * 288);
        float[] some = Inputs.normal(1 << 20, 10);
        Inputs.fill(latents, random ->
                Bf16.encode(some[random & 0xfffff]) & 0xffff | Bf16.encode(some[random >> 8 & 0xfffff]) << 16);
        slots = new IntArray(rows * K);
        // one in 64 is no slot: negative, or beyond the pool
        Inputs.fill(slots, random ->
                (random & 63) == 0 ? (random & 64) == 0 ? -1 : pool + (random & 0xffff) : random >> 7 & pool - 1);
        q = Inputs.normal(rows * 128 * 576, 11);
        queries = FloatArray.fromArray(q);
        packed = new LongArray(MmaMlaKernels.LONG_LEAD + rows * MmaMlaKernels.PACKED);
        highest = new FloatArray(rows * K);
        weights = new LongArray(MmaMlaKernels.LONG_LEAD + rows * K * 32);
        totals = new FloatArray(rows * runs * 128);
        out = new FloatArray(rows * 128 * 512);
        parts = runs == 1 ? out : new FloatArray(runs * out.getSize());
    }

    @Override
    public String name() {
        return "sparse MLA, " + name + rows + " rows, top 2048";
    }

    @Override
    public List<Kernel> kernels() {
        List<Kernel> kernels = List.of(
                id -> Call.of(id, rows * MmaMlaKernels.PACKED / 256, 256, 0)
                        .kernel(MmaMlaKernels::kPackQueries, meta, queries, packed),
                id -> Call.of(id, rows * K / MmaMlaKernels.TILE, MmaMlaKernels.THREADS, MmaMlaKernels.LOCAL_BYTES)
                        .kernel(MmaMlaKernels::kWeights, meta, factors, slots, packed, latents, weights, highest),
                id -> Call.of(id, rows * runs * MmaMlaSums.COLUMNS, MmaMlaSums.THREADS, MmaMlaSums.LOCAL_BYTES)
                        .kernel(MmaMlaSums::kSums, meta, slots, weights, highest, latents, totals, parts),
                id -> Call.of(id, out.getSize() / 256, 256, 0)
                        .kernel(MmaMlaSums::kDivide, meta, totals, parts, out));
        return runs == 1 ? kernels.subList(0, 3) : kernels;
    }

    @Override
    public List<Object> resident() {
        List<Object> arrays = new ArrayList<>(
                List.of(meta, factors, latents, slots, queries, packed, highest, weights, totals, out));
        if (runs > 1) {
            arrays.add(parts);
        }
        return arrays;
    }

    @Override
    public List<Object> results() {
        return List.of(out);
    }

    @Override
    public double flops() {
        return 2.0 * rows * 128 * K * (576 + 512);
    }

    @Override
    public double bytes() {
        return 1152.0 * Math.min(pool, rows * (double) K);
    }

    @Override
    public String mistake() {
        double worst = IntStream.range(0, SAMPLES).parallel().mapToDouble(sample -> {
            int row = sample * 53 % rows;
            int head = sample * 29 % 128;
            return difference(attend(row, head), out, (row * 128 + head) * 512);
        }).max().orElseThrow();
        long missing = IntStream.range(0, out.getSize()).parallel().filter(i -> Float.isNaN(out.get(i))).count();
        return worst < 5e-3 && missing == 0
                ? ""
                : String.format(Locale.ROOT, "error %.1e, %d missing", worst, missing);
    }

    /** The length of the difference, relative to what is expected. */
    private static double difference(double[] expected, FloatArray found, int at) {
        double error = 0;
        double norm = 0;
        for (int d = 0; d < 512; d++) {
            error += Math.pow(expected[d] - found.get(at + d), 2);
            norm += expected[d] * expected[d];
        }
        return Math.sqrt(error / norm);
    }

    private double[] attend(int row, int head) {
        double[] scores = new double[K];
        double best = Double.NEGATIVE_INFINITY;
        for (int t = 0; t < K; t++) {
            int slot = slots.get(row * K + t);
            scores[t] = Double.NEGATIVE_INFINITY;
            if (slot >= 0 && slot < pool) {
                double dot = 0;
                for (int d = 0; d < 576; d++) {
                    dot += (double) Bf16.decode(Bf16.encode(q[(row * 128 + head) * 576 + d])) * value(slot, d);
                }
                scores[t] = dot * SCALE;
                best = Math.max(best, scores[t]);
            }
        }
        double[] out = new double[512];
        double total = 0;
        for (int t = 0; t < K; t++) {
            double p = Math.exp(scores[t] - best);
            total += p;
            for (int d = 0; d < 512 && p > 0; d++) {
                out[d] += p * value(slots.get(row * K + t), d);
            }
        }
        for (int d = 0; d < 512; d++) {
            out[d] /= total;
        }
        return out;
    }

    private float value(int slot, int d) {
        return Bf16.decode((short) (latents.get(Decode.LEAD + slot * 288 + d / 2) >> (16 * (d % 2))));
    }
}
