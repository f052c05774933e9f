package dev.gyre.model.generate;

import dev.gyre.model.Model;
import dev.gyre.model.tokenizer.StreamingDecoder;

import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/** Generates texts, one at a time. */
public final class Generator {
    private final Model model;
    private final ModelRunner runner;

    /** A generator on the caches of {@code runner}. */
    public Generator(Model model, ModelRunner runner) {
        this.model = model;
        this.runner = runner;
    }

    /**
     * Continues a sequence. The last token generated is not run, so it is not in the sequence yet.
     *
     * @param prompt tokens that follow what the sequence holds
     * @param listener receives the text in pieces, as soon as they are certain
     */
    public Generation generate(Sequence sequence, int[] prompt, GenerationOptions options, Consumer<String> listener) {
        int vocabulary = model.config().vocabulary();
        StreamingDecoder decoder = model.hasTokenizer() ? model.tokenizer().streamingDecoder(true) : null;
        StopStrings stops = new StopStrings(options.stop());
        StringBuilder text = new StringBuilder();
        Sampler sampler = new Sampler(options.sampling(), prompt);
        List<Sequence> one = List.of(sequence);
        int[] token = new int[1];
        ModelRunner.Sink sink = (s, position, logits, at) -> token[0] = sampler.next(logits, at, vocabulary);

        long start = System.nanoTime();
        runner.run(one, new int[][] {prompt}, ModelRunner.Wanted.LAST, sink);
        long first = System.nanoTime();
        // the last token needs no place in the cache
        int most = Math.min(options.maxNewTokens(), model.contextLength() - sequence.length() + 1);
        int[] output = new int[most];
        int count = 0;
        Generation.FinishReason reason = null;
        while (reason == null) {
            output[count++] = token[0];
            if (ends(token[0], options)) {
                reason = Generation.FinishReason.STOP;
            } else {
                if (decoder != null) {
                    show(stops.push(decoder.push(token[0])), text, listener);
                }
                if (stops.found()) {
                    reason = Generation.FinishReason.STOP;
                } else if (count == most) {
                    reason = Generation.FinishReason.LENGTH;
                } else {
                    runner.run(one, new int[][] {{token[0]}}, ModelRunner.Wanted.LAST, sink);
                }
            }
        }
        long end = System.nanoTime();
        if (decoder != null) {
            show(stops.push(decoder.finish()), text, listener);
            show(stops.finish(), text, listener);
        }
        return new Generation(
                prompt.length,
                Arrays.copyOf(output, count),
                text.toString(),
                reason,
                (first - start) * 1e-9,
                (end - first) * 1e-9);
    }

    private boolean ends(int token, GenerationOptions options) {
        return options.stopTokens().contains(token) || !options.ignoreEos() && model.defaults().eos().contains(token);
    }

    private static void show(String piece, StringBuilder text, Consumer<String> listener) {
        if (!piece.isEmpty()) {
            text.append(piece);
            listener.accept(piece);
        }
    }
}
