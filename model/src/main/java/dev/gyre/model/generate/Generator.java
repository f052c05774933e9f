package dev.gyre.model.generate;

import dev.gyre.model.Model;
import dev.gyre.model.ops.Candidates;

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
        Draw sink = new Draw(text);

        long start = System.nanoTime();
        runner.run(one, new int[][] {prompt}, ModelRunner.Wanted.LAST, sink);
        long first = System.nanoTime();
        show(sink.piece, listener);
        while (text.finishReason() == null) {
            runner.run(one, new int[][] {{text.last()}}, ModelRunner.Wanted.LAST, sink);
            show(sink.piece, listener);
        }
        return text.result(prompt.length, 0, (first - start) * 1e-9, (System.nanoTime() - first) * 1e-9);
    }

    /** Draws a text's tokens. */
    private static final class Draw implements ModelRunner.Sink {
        private final Continuation text;
        /** What the last token made certain. */
        private String piece;

        private Draw(Continuation text) {
            this.text = text;
        }

        @Override
        public void accept(int sequence, int position, float[] logits, int at) {
            piece = text.next(logits, at);
        }

        @Override
        public int enough(int sequence) {
            return text.enough();
        }

        @Override
        public void best(int sequence, int position, Candidates best) {
            piece = text.next(best);
        }
    }

    private static void show(String piece, Consumer<String> listener) {
        if (!piece.isEmpty()) {
            listener.accept(piece);
        }
    }
}
