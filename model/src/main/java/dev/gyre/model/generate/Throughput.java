package dev.gyre.model.generate;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.hisparse.HiSparseStats;
import dev.gyre.model.Model;
import dev.gyre.model.ops.Candidates;
import dev.gyre.model.ops.DeviceMeter;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;

/** Times prefill and decode of a batch at a depth. */
public final class Throughput {
    /** Empty runs of a device, of which the median counts. */
    private static final int LAUNCHES = 21;

    private final Model model;
    private final int batch;
    private final int depth;
    private final Optional<DeviceMeter> meter;

    private Throughput(Model model, int batch, int depth) {
        this.model = model;
        this.batch = batch;
        this.depth = depth;
        meter = model.deviceMeter();
    }

    /**
     * Nanoseconds of one repetition.
     *
     * @param runs how often decoding started the device
     * @param waited nanoseconds of {@code decode} that the host spent in that
     */
    private record Times(long prefill, long decode, long runs, long waited) {}

    /**
     * What was measured; rates are over the whole batch.
     *
     * @param prefill tokens per second of each repetition; empty where none was asked for
     * @param decode the same of decode
     * @param step where the time of a decode step goes; null where none was asked for
     * @param onDevice whether the decoder runs on a device
     * @param hot what hot latents did while decoding; null without HiSparse
     */
    public record Result(
            int depth,
            int batch,
            int prefillTokens,
            int decodeTokens,
            List<Double> prefill,
            List<Double> decode,
            StepTime step,
            boolean onDevice,
            HiSparseStats hot) {
        /**
         * Depth, batch, mean and standard deviation of both rates, the parts of a step, and with HiSparse the share of
         * latents that were hot and what was fetched for a new token, by the names that {@code engine bench} prints.
         */
        public Map<String, Object> fields() {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("depth", depth);
            fields.put("batch", batch);
            fields.put("prefill", prefillTokens);
            fields.put("decode", decodeTokens);
            fields.put("prefill_tokens_per_second", mean(prefill));
            fields.put("prefill_stddev", deviation(prefill));
            fields.put("decode_tokens_per_second", mean(decode));
            fields.put("stddev", deviation(decode.isEmpty() ? prefill : decode));
            if (step != null) {
                step.putTo(fields, onDevice);
            }
            if (hot != null) {
                double tokens = Math.max(1.0, (double) decode.size() * batch * decodeTokens);
                fields.put("hot_latent_hit_percent", 100 * hot.hitRate());
                fields.put("bytes_fetched_per_token", hot.bytesFetched() / tokens);
                fields.put("evictions_per_token", hot.evictions() / tokens);
            }
            return fields;
        }

        private static double mean(List<Double> values) {
            return values.stream().mapToDouble(v -> v).average().orElse(0);
        }

        private static double deviation(List<Double> values) {
            double mean = mean(values);
            return values.size() < 2
                    ? 0
                    : Math.sqrt(values.stream().mapToDouble(v -> (v - mean) * (v - mean)).sum() / (values.size() - 1));
        }
    }

    /**
     * Measures after one warm-up. Depth is filled with random cache rows, which is not timed.
     *
     * @param depth tokens that are cached already
     */
    public static Result run(Model model, int depth, int batch, int prefill, int decode, int repetitions) {
        if (batch < 1) {
            throw EngineException.usage("--batch must be at least 1, not " + batch + ".");
        }
        long length = (long) depth + prefill + decode;
        if (length > model.contextLength()) {
            throw new EngineException("depth, prefill and decode make " + length + " tokens, more than the context of "
                    + model.contextLength() + "; ask for fewer.");
        }
        Throughput bench = new Throughput(model, batch, depth);
        List<Times> times = new ArrayList<>();
        HiSparseStats warm = null;
        StepTime step;
        try (ModelRunner runner = model.runner(batch, (int) length)) {
            for (int repetition = -1; repetition < repetitions; repetition++) { // the first warms up
                Times measured = bench.repeat(runner, prefill, decode);
                if (repetition < 0) {
                    warm = model.hiSparseStats().get(Phase.DECODE);
                } else {
                    times.add(measured);
                }
            }
            step = decode == 0 ? null : bench.step(times, decode);
        }
        HiSparseStats hot = warm == null ? null : model.hiSparseStats().get(Phase.DECODE).since(warm);
        List<Double> prefills = prefill == 0
                ? List.of()
                : times.stream().map(t -> 1e9 * batch * prefill / t.prefill).toList();
        List<Double> decodes = decode == 0
                ? List.of()
                : times.stream().map(t -> 1e9 * batch * decode / t.decode).toList();
        return new Result(depth, batch, prefill, decode, prefills, decodes, step, bench.meter.isPresent(), hot);
    }

    /** Where the time of a step went, on average over the repetitions. */
    private StepTime step(List<Times> times, int decode) {
        double launch = meter.map(m -> m.launchNanos(LAUNCHES)).orElse(0L);
        return StepTime.of(
                (long) times.size() * decode,
                times.stream().mapToDouble(t -> t.decode).sum(),
                times.stream().mapToDouble(t -> t.waited).sum(),
                times.stream().mapToDouble(t -> t.runs).sum() * launch);
    }

    /** Runs of a device and nanoseconds spent in them, so far: both 0 without a device. */
    private long[] device() {
        return meter.map(m -> new long[] {m.runs(), m.nanos()}).orElseGet(() -> new long[2]);
    }

    /** A prompt and new tokens for every sequence. */
    private Times repeat(ModelRunner runner, int prefill, int decode) {
        int vocabulary = model.config().vocabulary();
        SplittableRandom random = new SplittableRandom(7);
        List<Sequence> sequences = new ArrayList<>();
        int[][] prompts = new int[batch][prefill];
        int[][] next = new int[batch][1];
        for (int s = 0; s < batch; s++) {
            Sequence sequence = runner.start();
            if (depth > 0) {
                runner.fill(sequence, depth, s);
            }
            sequences.add(sequence);
            for (int i = 0; i < prefill; i++) {
                prompts[s][i] = random.nextInt(vocabulary);
            }
            next[s][0] = random.nextInt(vocabulary);
        }
        ModelRunner.Sink sink = new Greedy(next, vocabulary);
        meter.ifPresent(DeviceMeter::settle); // a device fills caches when it runs next
        long start = System.nanoTime();
        if (prefill > 0) {
            runner.run(sequences, prompts, ModelRunner.Wanted.LAST, sink);
        }
        long[] before = device();
        long middle = System.nanoTime();
        for (int i = 0; i < decode; i++) {
            runner.run(sequences, next, ModelRunner.Wanted.LAST, sink);
        }
        long end = System.nanoTime();
        long[] after = device();
        sequences.forEach(runner::end);
        return new Times(middle - start, end - middle, after[0] - before[0], after[1] - before[1]);
    }

    /** Draws each sequence's most likely token; fails where that is no number: a time is worth nothing then. */
    private record Greedy(int[][] next, int vocabulary, Sampler sampler) implements ModelRunner.Sink {
        Greedy(int[][] next, int vocabulary) {
            this(next, vocabulary, new Sampler(SamplingOptions.GREEDY, new int[0]));
        }

        @Override
        public void accept(int sequence, int position, float[] logits, int at) {
            next[sequence][0] = sampler.next(logits, at, vocabulary);
        }

        @Override
        public int enough(int sequence) {
            return sampler.enough();
        }

        @Override
        public void best(int sequence, int position, Candidates best) {
            next[sequence][0] = sampler.next(best);
        }
    }
}
