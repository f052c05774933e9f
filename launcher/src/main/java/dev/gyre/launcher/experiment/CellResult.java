package dev.gyre.launcher.experiment;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectReader;
import dev.gyre.attention.policy.SelectionCost;
import dev.gyre.model.research.LayerStats;

import java.io.IOException;
import java.util.List;
import java.util.Objects;
import java.util.function.ToDoubleFunction;

/**
 * What was measured at a point of a sweep. All but threads and time is the same whenever and wherever it is measured.
 *
 * @param tokens how many tokens were scored
 * @param nll the sum of their negative log-likelihoods, in nats
 * @param layers recall and mass of each layer; empty where the sweep leaves them out
 * @param cost of the layers together, for a token that sees the whole context, by the policy's formula
 * @param ran how many tokens were run in {@code seconds}
 * @param threads that ran them
 * @param seconds time of a run of which nothing but the text's likelihood was asked
 */
public record CellResult(
        Cell cell,
        int tokens,
        double nll,
        List<LayerStats> layers,
        SelectionCost cost,
        int ran,
        int threads,
        double seconds) {
    private static final ObjectReader READER = ExperimentJson.MAPPER.readerFor(CellResult.class)
            .with(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
            .with(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES);

    /** Nothing is null. */
    public CellResult {
        Objects.requireNonNull(cell, "cell");
        Objects.requireNonNull(cost, "cost");
        layers = List.copyOf(layers);
    }

    /** What the bytes of {@link #json()} were made of; fails where something is missing. */
    public static CellResult parse(byte[] json) throws IOException {
        CellResult result = READER.readValue(json);
        if (result == null) {
            throw new IOException("null is no result");
        }
        return result;
    }

    /** All of it, on one line. */
    public String json() {
        return ExperimentJson.line(this);
    }

    /** {@code exp(nll / tokens)}. */
    public double perplexity() {
        return Math.exp(nll / tokens);
    }

    /** Microseconds per token. */
    public double micros() {
        return seconds * 1e6 / ran;
    }

    /** The mean over the layers that run an indexer; NaN where none was measured. */
    public double recall() {
        return mean(LayerStats::recall);
    }

    /** The mean over layers; NaN where none was measured. */
    public double mass() {
        return mean(LayerStats::mass);
    }

    private double mean(ToDoubleFunction<LayerStats> value) {
        return layers.stream().mapToDouble(value).filter(Double::isFinite).average().orElse(Double.NaN);
    }
}
