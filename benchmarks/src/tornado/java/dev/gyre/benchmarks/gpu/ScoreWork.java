package dev.gyre.benchmarks.gpu;

import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.MmaScoreKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/** Index scores of FP8 keys: a sequence a row (decode), or one sequence that all rows ask (a prompt's last tokens). */
final class ScoreWork implements Workload {
    private static final int SAMPLES = 20_000;

    private final int rows;
    private final int length;
    private final boolean prompt;
    private final int shares;
    private final IntArray meta;
    private final IntArray visible;
    private final IntArray tables;
    private final IntArray keys;
    private final FloatArray scales;
    private final float[] q;
    private final float[] w;
    private final IntArray queries;
    private final FloatArray weights;
    private final IntArray scores;

    ScoreWork(int rows, int length, boolean prompt) {
        this.rows = rows;
        this.length = length;
        this.prompt = prompt;
        shares = MmaScoreKernels.shares(rows, length);
        int stride = length / 64;
        int pages = prompt ? stride : rows * stride;
        meta = IntArray.fromElements(rows, length, stride, shares);
        tables = new IntArray(rows * stride);
        for (int i = 0; i < tables.getSize(); i++) {
            tables.set(i, (int) (i % pages * 7919L % pages));
        }
        visible = new IntArray(rows);
        for (int i = 0; i < rows; i++) {
            visible.set(i, prompt ? length - rows + 1 + i : length - i % 5);
        }
        keys = new IntArray(Decode.LEAD + pages * 64 * 32);
        Inputs.fill(keys, random -> random & 0xf7f7f7f7); // no NaN; any sign
        scales = new FloatArray(pages * 64);
        for (int i = 0; i < scales.getSize(); i++) {
            scales.set(i, 1f / (16 << i % 4));
        }
        q = Inputs.normal(rows * 64 * 128, 8);
        w = Inputs.normal(rows * 64, 9);
        queries = new IntArray(rows * MmaScoreKernels.PACKED_INTS);
        MmaScoreKernels.pack(q, 0, rows, queries);
        weights = FloatArray.fromArray(w);
        scores = new IntArray(rows * length);
    }

    @Override
    public String name() {
        return "index scores, FP8, " + (prompt ? "prompt of " : "") + rows + " x " + length;
    }

    @Override
    public List<Kernel> kernels() {
        return List.of(id -> Call.of(id, rows * shares, MmaScoreKernels.THREADS, MmaScoreKernels.LOCAL_BYTES)
                .kernel(MmaScoreKernels::kScores,
                        meta, visible, tables, queries, weights, keys, scales, scores));
    }

    @Override
    public List<Object> resident() {
        return List.of(meta, visible, tables, queries, weights, keys, scales, scores);
    }

    @Override
    public List<Object> results() {
        return List.of(scores);
    }

    private double seen() {
        return IntStream.range(0, rows).mapToDouble(visible::get).sum();
    }

    @Override
    public double flops() {
        return 2.0 * seen() * 64 * 128;
    }

    @Override
    public double bytes() {
        return 132.0 * (prompt ? length : seen()) + 4 * seen();
    }

    @Override
    public String mistake() {
        double error = 0;
        double norm = 0;
        for (int sample = 0; sample < SAMPLES; sample++) {
            int row = sample * 37 % rows;
            int position = (int) (sample * 104_729L % visible.get(row));
            double expected = expected(row, position);
            double found = Float.intBitsToFloat(scores.get(row * length + position));
            error += (found - expected) * (found - expected);
            norm += expected * expected;
        }
        long missing = IntStream.range(0, rows).parallel().mapToLong(this::missing).sum();
        double relative = Math.sqrt(error / norm);
        return relative < 1e-5 && missing == 0
                ? ""
                : String.format(Locale.ROOT, "error %.1e, %d missing", relative, missing);
    }

    private double expected(int row, int position) {
        float[] fp8 = Fp8E4M3.table();
        int slot = tables.get(row * (length / 64) + position / 64) * 64 + position % 64;
        double sum = 0;
        for (int h = 0; h < 64; h++) {
            double dot = 0;
            for (int d = 0; d < 128; d++) {
                int code = keys.get(Decode.LEAD + slot * 32 + d / 4) >> (8 * (d % 4)) & 255;
                float query = Float.float16ToFloat(Float.floatToFloat16(q[(row * 64 + h) * 128 + d]));
                dot += (double) fp8[code] * scales.get(slot) * query;
            }
            sum += w[row * 64 + h] * Math.max(dot, 0);
        }
        return sum;
    }

    private long missing(int row) {
        return IntStream.range(row * length, row * length + visible.get(row))
                .filter(i -> Float.isNaN(Float.intBitsToFloat(scores.get(i))))
                .count();
    }
}
