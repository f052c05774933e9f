package dev.gyre.benchmarks;

import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.hisparse.HiSparseOptions;
import dev.gyre.attention.hisparse.HiSparseStats;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.Sequence;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * How many of the latents that decoding selects are hot, by how many stay hot and by context: counts, which the machine
 * and what else runs on it do not change. The text is read as it stands, whatever the model would have written. Every
 * decoded token's logits are compared with those of one cache of all latents, to the bit.
 */
final class HotLatentSweep {
    private static final int[] CONTEXTS = {512, 1024, 2048, 4096, 8064};
    private static final int[] HOT = {256, 384, 512, 1024, 2048};
    /** Tokens decoded at each context, up to it. */
    private static final int TOKENS = 128;
    /** A choice that has nothing to do with the one before is the worst case. */
    private static final List<String> POLICIES = List.of("indexer", "random");

    private HotLatentSweep() {}

    /** {@code TEXT [FILE]}: the text that is read, and where the table goes beside the console. */
    public static void main(String[] args) throws IOException {
        if (args.length < 1 || args.length > 2) {
            System.err.println("usage: ./engine --run-class dev.gyre.benchmarks.HotLatentSweep "
                    + "benchmarks/target/benchmarks.jar TEXT [FILE]");
            System.exit(2);
        }
        String report = measure(Files.readString(Path.of(args[0])), args[0]);
        System.out.println(report);
        if (args.length == 2) {
            Files.writeString(Path.of(args[1]), report);
        }
    }

    private static String measure(String text, String name) {
        StringBuilder report = new StringBuilder("# HiSparse: how many selected latents are hot\n\n");
        report.append(Environment.describe()).append(String.format(Locale.ROOT, """

                Made by `./engine --run-class dev.gyre.benchmarks.HotLatentSweep benchmarks/target/benchmarks.jar \
                %s FILE`. tiny-v32, index_topk 256, f32 latents (2,304 bytes a token and layer, 4 layers), the last %d
                tokens of each context decoded one by one; every token's logits were those of one cache of all
                latents, to the bit. In each field: the share of the selected latents that was hot, and KB fetched from
                the store for a token, of %d KB that attention reads. The token itself was just computed: the first time
                that it is selected it counts as hot.
                """, name, TOKENS, 4 * 256 * 2304 / 1000));
        for (String policy : POLICIES) {
            report.append("\n## ").append(policy).append("\n\n| hot tokens |");
            Arrays.stream(CONTEXTS).forEach(context -> report.append(" context ").append(context).append(" |"));
            report.append("\n|").append("---|".repeat(CONTEXTS.length + 1)).append('\n');
            ModelOptions options = ModelOptions.defaults().withSelectionPolicy(policy);
            List<float[]> expected = new ArrayList<>();
            run(options, text, expected, false);
            for (int hot : HOT) {
                report.append("| ").append(hot).append(" |");
                for (HiSparseStats stats : run(options.withHiSparse(HiSparseOptions.of(hot)), text, expected, true)) {
                    report.append(String.format(Locale.ROOT, " %.1f%%, %.0f KB |",
                            100 * stats.hitRate(), stats.bytesFetched() / 1e3 / TOKENS));
                }
                report.append('\n');
            }
        }
        return report.append("""

                `random` draws anew for every token, so its share of hits is the share of the context that is hot: the
                worst case. The model is small and its text local ([its card](../../models/tiny-v32/README.md)); how
                much of a large model's choice stays hot is not known from this.
                """).toString();
    }

    /** Decoding's stats at each context; the logits are kept in {@code logits}, or compared with those there. */
    private static List<HiSparseStats> run(ModelOptions options, String text, List<float[]> logits, boolean compare) {
        List<HiSparseStats> stats = new ArrayList<>();
        int last = CONTEXTS[CONTEXTS.length - 1];
        try (Model model = Model.open(options); ModelRunner runner = model.runner(1, last)) {
            int[] tokens = Arrays.copyOf(model.tokenizer().encodeWithBos(text), last);
            Sequence sequence = runner.start();
            int[] compared = {0};
            for (int context : CONTEXTS) {
                int[] prompt = Arrays.copyOfRange(tokens, sequence.length(), context - TOKENS);
                runner.run(List.of(sequence), new int[][] {prompt}, ModelRunner.Wanted.LAST, (s, p, values, at) -> {});
                HiSparseStats before = model.hiSparseStats().get(Phase.DECODE);
                while (sequence.length() < context) {
                    int[][] next = {{tokens[sequence.length()]}};
                    runner.run(List.of(sequence), next, ModelRunner.Wanted.LAST, (s, position, values, at) -> {
                        float[] found = Arrays.copyOfRange(values, at, at + model.config().vocabulary());
                        if (!compare) {
                            logits.add(found);
                        } else if (!Arrays.equals(logits.get(compared[0]++), found)) {
                            throw new IllegalStateException("other logits at position " + position);
                        }
                    });
                }
                if (compare) {
                    stats.add(model.hiSparseStats().get(Phase.DECODE).since(before));
                }
            }
        }
        return stats;
    }
}
