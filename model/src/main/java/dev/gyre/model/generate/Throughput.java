package dev.gyre.model.generate;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.hisparse.HiSparseStats;
import dev.gyre.model.Model;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** Times prefill and decode of a batch at a depth. */
public final class Throughput {
    private final Model model;
    private final int batch;
    private final int depth;

    private Throughput(Model model, int batch, int depth) {
        this.model = model;
        this.batch = batch;
        this.depth = depth;
    }

    /**
     * What was measured; rates are over the whole batch.
     *
     * @param prefill tokens per second of each repetition; empty where none was asked for
     * @param decode the same of decode
     * @param hot what hot latents did while decoding; null without HiSparse
     */
    public record Result(
            int depth,
            int batch,
            int prefillTokens,
            int decodeTokens,
            List<Double> prefill,
            List<Double> decode,
            HiSparseStats hot) {
        /**
         * Depth, batch, mean and standard deviation of both rates, and with HiSparse the share of latents that were hot
         * and what was fetched for a new token, by the names that {@code engine bench} prints.
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
        List<Double> prefills = new ArrayList<>();
        List<Double> decodes = new ArrayList<>();
        HiSparseStats warm = null;
        try (ModelRunner runner = model.runner(batch, (int) length)) {
            for (int repetition = -1; repetition < repetitions; repetition++) { // the first warms up
                double[] seconds = bench.repeat(runner, prefill, decode);
                warm = repetition < 0 ? model.hiSparseStats().get(Phase.DECODE) : warm;
                if (repetition >= 0 && prefill > 0) {
                    prefills.add((double) batch * prefill / seconds[0]);
                }
                if (repetition >= 0 && decode > 0) {
                    decodes.add((double) batch * decode / seconds[1]);
                }
            }
        }
        HiSparseStats hot = warm == null ? null : model.hiSparseStats().get(Phase.DECODE).since(warm);
        return new Result(depth, batch, prefill, decode, prefills, decodes, hot);
    }

    /** Seconds of prefill and of decode. */
    private double[] repeat(ModelRunner runner, int prefill, int decode) {
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
        ModelRunner.Sink sink = (s, position, logits, at) -> next[s][0] = checked(logits, at, vocabulary);
        double[] seconds = new double[2];
        long start = System.nanoTime();
        if (prefill > 0) {
            runner.run(sequences, prompts, ModelRunner.Wanted.LAST, sink);
        }
        long middle = System.nanoTime();
        for (int i = 0; i < decode; i++) {
            runner.run(sequences, next, ModelRunner.Wanted.LAST, sink);
        }
        seconds[0] = (middle - start) * 1e-9;
        seconds[1] = (System.nanoTime() - middle) * 1e-9;
        sequences.forEach(runner::end);
        return seconds;
    }

    /** A time is worth nothing where the answer is not a number. */
    private static int checked(float[] logits, int at, int count) {
        int token = Sampler.greedy(logits, at, count);
        if (!Float.isFinite(logits[at + token])) {
            throw new EngineException("the model's logits are not finite; the measurement is void.");
        }
        return token;
    }
}
