package dev.gyre.launcher;

import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.SamplingOptions;
import picocli.CommandLine.Option;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** How tokens are drawn and when a text ends. */
final class SamplingFlags {
    @Option(names = "--max-new-tokens", paramLabel = "N", description = "the most tokens to generate (default: 128)")
    private int maxNewTokens = 128;

    @Option(
            names = "--temperature",
            paramLabel = "T",
            description = "0 takes the likeliest token, always (default: 0)")
    private double temperature;

    @Option(names = "--top-p", paramLabel = "P", description = "draw from the likeliest that sum to P (default: 1)")
    private double topP = 1;

    @Option(names = "--top-k", paramLabel = "K", description = "draw from the K likeliest; 0 for all (default: 0)")
    private int topK;

    @Option(
            names = "--min-p",
            paramLabel = "P",
            description = "draw from those at least P times as likely as the likeliest (default: 0)")
    private double minP;

    @Option(
            names = "--repetition-penalty",
            paramLabel = "X",
            description = "above 1: tokens seen before become less likely (default: 1)")
    private double repetitionPenalty = 1;

    @Option(names = "--frequency-penalty", paramLabel = "X", description = "... by how often (default: 0)")
    private double frequencyPenalty;

    @Option(names = "--presence-penalty", paramLabel = "X", description = "... once (default: 0)")
    private double presencePenalty;

    @Option(names = "--seed", paramLabel = "S", description = "the same seed gives the same text (default: 0)")
    private long seed;

    @Option(names = "--stop", paramLabel = "TEXT", description = "ends the text before TEXT; may be repeated")
    private List<String> stop = new ArrayList<>();

    @Option(names = "--stop-tokens", paramLabel = "IDS", description = "token ids that end the text")
    private String stopTokens;

    @Option(names = "--ignore-eos", description = "go on behind the model's end of text")
    private boolean ignoreEos;

    /** These options, checked. */
    GenerationOptions options() {
        Set<Integer> ids = new LinkedHashSet<>();
        if (stopTokens != null) {
            for (int id : Ids.parse(stopTokens, "--stop-tokens")) {
                ids.add(id);
            }
        }
        SamplingOptions sampling = new SamplingOptions(
                temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed);
        return new GenerationOptions(maxNewTokens, sampling, stop, ids, ignoreEos);
    }
}
