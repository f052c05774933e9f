package dev.gyre.model.generate;

import dev.gyre.model.Model;

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
        int room = model.contextLength() - sequence.length() - prompt.length;
        Continuation text = new Continuation(model, options, prompt, room);
        List<Sequence> one = List.of(sequence);
        String[] piece = new String[1];
        ModelRunner.Sink sink = (s, position, logits, at) -> piece[0] = text.next(logits, at);

        long start = System.nanoTime();
        runner.run(one, new int[][] {prompt}, ModelRunner.Wanted.LAST, sink);
        long first = System.nanoTime();
        show(piece[0], listener);
        while (text.finishReason() == null) {
            runner.run(one, new int[][] {{text.last()}}, ModelRunner.Wanted.LAST, sink);
            show(piece[0], listener);
        }
        return text.result(prompt.length, 0, (first - start) * 1e-9, (System.nanoTime() - first) * 1e-9);
    }

    private static void show(String piece, Consumer<String> listener) {
        if (!piece.isEmpty()) {
            listener.accept(piece);
        }
    }
}
