package dev.gyre.benchmarks.gpu;

import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.MmaMlaKernels;
import dev.gyre.tornado.kernels.MmaSoftmaxKernels;
import dev.gyre.tornado.kernels.MmaScoreKernels;
import dev.gyre.tornado.kernels.TopKKernels;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/** Times the kernels at DeepSeek-V3.2's shapes, checks every answer, and prints a table. */
public final class GpuReport {
    private final TornadoDevice device;
    private final List<String> lines = new ArrayList<>();
    private boolean failed;

    private GpuReport(TornadoDevice device) {
        this.device = device;
    }

    private static final List<String> CASES =
            List.of("topk", "topk128k", "topk1", "topk16", "scores", "mla1", "mla16", "mla", "prefill");

    /** {@code [names]}: which of the cases to run; all by default. */
    public static void main(String[] args) {
        TornadoDevice device = TornadoRuntimeProvider.getTornadoRuntime().getDefaultDevice();
        GpuReport report = new GpuReport(device);
        List<String> wanted = args.length == 0 ? CASES : List.of(args);
        if (!CASES.containsAll(wanted)) {
            System.err.println("run-gpu: the cases are " + String.join(", ", CASES) + ".");
            System.exit(2);
        }
        for (String name : wanted) {
            try {
                switch (name) {
                    case "topk" -> report.topK(128, 32_768);
                    case "topk128k" -> report.topK(128, 131_072);
                    case "topk1" -> report.topK(1, 131_072);
                    case "topk16" -> report.topK(16, 131_072);
                    case "scores" -> report.scores(128, 32_768);
                    case "mla" -> report.mla(128, 2048);
                    case "mla1" -> report.mla(1, 2048);
                    case "mla16" -> report.mla(16, 2048);
                    default -> report.mla(512, 2048);
                }
            } catch (RuntimeException e) {
                e.printStackTrace();
                report.lines.add("| " + name + " | FAILED: " + e + " |");
                report.failed = true;
            }
        }
        System.out.println(device.getPhysicalDevice().getDeviceName() + ", JDK " + Runtime.version());
        System.out.println("| case | time | rate | memory | answer |\n|---|---|---|---|---|");
        report.lines.forEach(System.out::println);
        System.exit(report.failed ? 1 : 0);
    }

    /** A timing without the right answer is void. */
    private void row(String name, double seconds, double flops, double bytes, boolean right, String check) {
        if (!right) {
            lines.add("| " + name + " | VOID: " + check + " |");
            failed = true;
            return;
        }
        lines.add(String.format(Locale.ROOT, "| %s | %.1f us | %.1f TFLOP/s | %.0f GB/s | %s |",
                name, seconds * 1e6, flops / seconds / 1e12, bytes / seconds / 1e9, check));
    }

    private static void fill(IntArray array, IntUnaryOperator value) {
        int stretch = 1 << 16;
        IntStream.range(0, Math.ceilDiv(array.getSize(), stretch)).parallel().forEach(block -> {
            int end = Math.min(array.getSize(), (block + 1) * stretch);
            SplittableRandom random = new SplittableRandom(block * 31L + array.getSize());
            for (int i = block * stretch; i < end; i++) {
                array.set(i, value.applyAsInt(random.nextInt()));
            }
        });
    }

    private static float[] normal(int count, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private void topK(int rows, int length) {
        int k = 2048;
        int sharing = 256;
        int blocks = rows < 64 ? Math.ceilDiv(length, 32 * sharing) : 0; // few rows are shared among blocks
        IntArray meta = IntArray.fromElements(rows, k, length, length / 64, blocks);
        IntArray visible = new IntArray(rows);
        visible.init(length);
        IntArray tables = new IntArray(rows * length / 64);
        for (int i = 0; i < tables.getSize(); i++) {
            tables.set(i, i * 7919 % tables.getSize());
        }
        IntArray scores = new IntArray(rows * length);
        float[] some = normal(1 << 20, 7);
        // half are exact zeros
        fill(scores, random -> Float.floatToRawIntBits(Math.max(0f, some[random & 0xfffff])));
        IntArray positions = new IntArray(rows * k);
        IntArray slots = new IntArray(rows * k);
        positions.init(Integer.MIN_VALUE);
        slots.init(Integer.MIN_VALUE);
        IntArray flags = DeviceArrays.ints(rows * (length / 32 * 3));
        IntArray keys = DeviceArrays.ints(rows * length);
        IntArray found = DeviceArrays.ints(rows * TopKKernels.FOUND);
        IntArray counts = DeviceArrays.ints(Math.max(1, rows * blocks * TopKKernels.COUNTS));
        GpuCase.Kernel whole = id -> Call.of(id, rows, TopKKernels.MOST_BLOCK, TopKKernels.LOCAL_BYTES)
                .kernel(TopKKernels::kTopK, meta, visible, tables, scores, flags, keys, found, positions, slots);
        GpuCase.Kernel sift = id -> Call.of(id, rows * blocks, sharing, TopKKernels.LOCAL_BYTES)
                .kernel(TopKKernels::kSift, meta, visible, scores, flags, counts, found);
        GpuCase.Kernel select = id -> Call.of(id, rows, TopKKernels.MOST_BLOCK, TopKKernels.LOCAL_BYTES)
                .kernel(TopKKernels::kSelect, meta, visible, tables, scores, flags, keys, counts, found, positions,
                        slots);
        try (GpuCase timed = new GpuCase(device, "topk", blocks > 0 ? 5 : 10,
                List.of(meta, visible, tables, scores, flags, keys, found, counts, positions, slots),
                List.of(positions, slots),
                blocks > 0 ? new GpuCase.Kernel[] {sift, select} : new GpuCase.Kernel[] {whole})) {
            double seconds = timed.seconds();
            timed.fetch();
            int wrong = 0;
            for (int row = 0; row < rows; row++) {
                long[] order = new long[length];
                for (int i = 0; i < length; i++) {
                    order[i] = (long) -scores.get(row * length + i) << 32 | i; // scores are not negative
                }
                Arrays.sort(order);
                int[] expected = Arrays.stream(order, 0, k).mapToInt(value -> (int) value).sorted().toArray();
                for (int i = 0; i < k; i++) {
                    int slot = tables.get(row * (length / 64) + expected[i] / 64) * 64 + expected[i] % 64;
                    wrong += positions.get(row * k + i) == expected[i] && slots.get(row * k + i) == slot ? 0 : 1;
                }
            }
            row("top-k 2048, " + rows + " rows x " + length, seconds, 0, 4.0 * rows * length, wrong == 0,
                    wrong + " wrong");
        }
    }

    private void scores(int rows, int length) {
        int shares = 8;
        int pages = rows * length / 64;
        IntArray meta = IntArray.fromElements(rows, length, length / 64, shares, 0);
        IntArray visible = new IntArray(rows);
        IntArray tables = new IntArray(pages);
        for (int i = 0; i < pages; i++) {
            tables.set(i, (int) (i * 7919L % pages));
        }
        for (int i = 0; i < rows; i++) {
            visible.set(i, length - i % 5);
        }
        IntArray keys = new IntArray(Decode.LEAD + pages * 64 * 32);
        fill(keys, random -> random & 0xf7f7f7f7 & ~0x08080808); // no NaN; any sign
        FloatArray scales = new FloatArray(pages * 64);
        for (int i = 0; i < scales.getSize(); i++) {
            scales.set(i, 1f / (16 << i % 4));
        }
        float[] q = normal(rows * 64 * 128, 8);
        IntArray queries = new IntArray(rows * MmaScoreKernels.PACKED_INTS);
        MmaScoreKernels.pack(q, 0, rows, queries);
        float[] w = normal(rows * 64, 9);
        FloatArray weights = FloatArray.fromArray(w);
        FloatArray scratch = new FloatArray(Decode.LEAD + rows * shares * 128 * 64);
        scratch.init(Float.NaN);
        IntArray scores = new IntArray(rows * length);
        scores.init(Float.floatToRawIntBits(Float.NaN));
        try (GpuCase timed = new GpuCase(device, "scores", 10,
                List.of(meta, visible, tables, queries, weights, keys, scales, scratch, scores), List.of(scores),
                id -> Call.of(id, rows * shares, MmaScoreKernels.THREADS, MmaScoreKernels.LOCAL_BYTES)
                        .kernel(MmaScoreKernels::kScores,
                                meta, visible, tables, queries, weights, keys, scales, scratch, scores))) {
            double seconds = timed.seconds();
            timed.fetch();
            float[] fp8 = Fp8E4M3.table();
            double error = 0;
            double norm = 0;
            for (int sample = 0; sample < 20_000; sample++) {
                int row = sample * 37 % rows;
                int position = (int) (sample * 104_729L % visible.get(row));
                int slot = tables.get(row * (length / 64) + position / 64) * 64 + position % 64;
                double expected = 0;
                for (int h = 0; h < 64; h++) {
                    double dot = 0;
                    for (int d = 0; d < 128; d++) {
                        int code = keys.get(Decode.LEAD + slot * 32 + d / 4) >> (8 * (d % 4)) & 255;
                        float query = Float.float16ToFloat(Float.floatToFloat16(q[(row * 64 + h) * 128 + d]));
                        dot += (double) fp8[code] * scales.get(slot) * query;
                    }
                    expected += w[row * 64 + h] * Math.max(dot, 0);
                }
                double found = Float.intBitsToFloat(scores.get(row * length + position));
                error += (found - expected) * (found - expected);
                norm += expected * expected;
            }
            long missing = IntStream.range(0, rows * length)
                    .filter(i -> i % length < visible.get(i / length))
                    .filter(i -> Float.isNaN(Float.intBitsToFloat(scores.get(i))))
                    .count();
            row("index scores, " + rows + " x " + length + ", FP8", seconds, 2.0 * rows * length * 64 * 128,
                    132.0 * rows * length, Math.sqrt(error / norm) < 1e-5 && missing == 0,
                    String.format(Locale.ROOT, "error %.1e, %d missing", Math.sqrt(error / norm), missing));
        }
    }

    private void mla(int rows, int k) {
        int pool = 1 << 20;
        IntArray meta = IntArray.fromElements(rows, k, pool, 0);
        FloatArray factors = FloatArray.fromElements(0.04f);
        IntArray latents = new IntArray(Decode.LEAD + pool * 288);
        float[] some = normal(1 << 20, 10);
        fill(latents, random ->
                Bf16.encode(some[random & 0xfffff]) & 0xffff | Bf16.encode(some[random >> 8 & 0xfffff]) << 16);
        IntArray slots = new IntArray(rows * k);
        // one in 64 is no slot: negative, or beyond the pool
        fill(slots, random ->
                (random & 63) == 0 ? (random & 64) == 0 ? -1 : pool + (random & 0xffff) : random & pool - 1);
        float[] q = normal(rows * 128 * 576, 11);
        FloatArray queries = FloatArray.fromArray(q);
        IntArray packed = new IntArray(Decode.LEAD + rows * 36_864);
        FloatArray scores = DeviceArrays.floats(Decode.LEAD + rows * k * 128);
        FloatArray highest = DeviceArrays.floats(rows * k / 128 * 4 * 128);
        IntArray weights = new IntArray(Decode.LEAD + rows * k * 64);
        FloatArray sums = DeviceArrays.floats(rows * k / 128 * 2 * 128);
        FloatArray out = new FloatArray(rows * 128 * 512);
        scores.init(Float.NaN);
        highest.init(Float.NaN);
        weights.init(-1);
        sums.init(Float.NaN);
        out.init(Float.NaN);
        packed.init(-1);
        int packBlocks = rows * MmaSoftmaxKernels.PACKED_INTS / 256;
        GpuCase.Kernel pack = id -> Call.of(id, packBlocks, 256, MmaSoftmaxKernels.PACK_BYTES)
                .kernel(MmaSoftmaxKernels::kPackQueries, meta, queries, packed);
        GpuCase.Kernel scoring = id -> Call.of(id, rows * k / 128, MmaMlaKernels.THREADS, MmaMlaKernels.PRODUCT_BYTES)
                .kernel(MmaMlaKernels::kScores, meta, slots, packed, latents, scores, highest);
        GpuCase.Kernel weighing = id -> Call.of(id, rows * k / 128, 256, MmaSoftmaxKernels.WEIGHTS_BYTES)
                .kernel(MmaSoftmaxKernels::kWeights, meta, factors, slots, scores, highest, weights, sums);
        GpuCase.Kernel summing = id -> Call.of(id, rows * 4, MmaMlaKernels.THREADS, MmaMlaKernels.PRODUCT_BYTES)
                .kernel(MmaMlaKernels::kSums, meta, slots, weights, latents, out);
        GpuCase.Kernel dividing = id -> Call.of(id, rows * 128, 128, 0)
                .kernel(MmaSoftmaxKernels::kDivide, meta, sums, out);
        List<Object> arrays =
                List.of(meta, factors, latents, slots, queries, packed, scores, highest, weights, sums, out);
        double flops = 2.0 * rows * 128 * k * (576 + 512);
        double bytes = rows * (double) k * 1152;
        try (GpuCase timed = new GpuCase(
                device, "mla", 3, arrays, List.of(out), pack, scoring, weighing, summing, dividing)) {
            double seconds = timed.seconds();
            timed.fetch();
            double worst = 0;
            long missing = IntStream.range(0, out.getSize()).filter(i -> Float.isNaN(out.get(i))).count();
            for (int sample = 0; sample < 40; sample++) {
                int row = sample * 53 % rows;
                int head = sample * 29 % 128;
                double[] expected = attend(q, latents, slots, row, head, k, pool, factors.get(0));
                worst = Math.max(worst, difference(expected, out, (row * 128 + head) * 512));
            }
            row("sparse MLA, " + rows + " rows, top " + k, seconds, flops, bytes, worst < 5e-3 && missing == 0,
                    String.format(Locale.ROOT, "error %.1e, %d missing", worst, missing));
        }
        String[] names = {"packing queries", "scores", "weights", "sums", "division"};
        GpuCase.Kernel[] kernels = {pack, scoring, weighing, summing, dividing};
        for (int i = 0; i < kernels.length && rows == 128; i++) {
            try (GpuCase timed = new GpuCase(device, "part", 10, arrays, List.of(), kernels[i])) {
                lines.add(String.format(
                        Locale.ROOT, "|   of it %s | %.1f us | | | |", names[i], timed.seconds() * 1e6));
            }
        }
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

    private static double[] attend(
            float[] q, IntArray latents, IntArray slots, int row, int head, int k, int pool, float scale) {
        double[] scores = new double[k];
        double best = Double.NEGATIVE_INFINITY;
        for (int t = 0; t < k; t++) {
            int slot = slots.get(row * k + t);
            scores[t] = Double.NEGATIVE_INFINITY;
            if (slot >= 0 && slot < pool) {
                double dot = 0;
                for (int d = 0; d < 576; d++) {
                    dot += (double) Bf16.decode(Bf16.encode(q[(row * 128 + head) * 576 + d])) * value(latents, slot, d);
                }
                scores[t] = dot * scale;
                best = Math.max(best, scores[t]);
            }
        }
        double[] out = new double[512];
        double total = 0;
        for (int t = 0; t < k; t++) {
            double p = Math.exp(scores[t] - best);
            total += p;
            for (int d = 0; d < 512 && p > 0; d++) {
                out[d] += p * value(latents, slots.get(row * k + t), d);
            }
        }
        for (int d = 0; d < 512; d++) {
            out[d] /= total;
        }
        return out;
    }

    private static float value(IntArray latents, int slot, int d) {
        return Bf16.decode((short) (latents.get(Decode.LEAD + slot * 288 + d / 2) >> (16 * (d % 2))));
    }
}
