package dev.gyre.model.generate;

import dev.gyre.model.Model;
import dev.gyre.model.generate.Generation.FinishReason;
import dev.gyre.model.ops.Candidates;
import dev.gyre.model.tokenizer.StreamingDecoder;

import java.util.Arrays;
import java.util.Set;

/** A text while it grows: draws its tokens, spells them, and knows when it ends. One thread at a time. */
public final class Continuation {
    private final GenerationOptions options;
    private final Set<Integer> eos;
    private final int vocabulary;
    private final int most;
    private final Sampler sampler;
    private final StopStrings stops;
    private final StreamingDecoder decoder;
    private final StringBuilder text = new StringBuilder();
    private int[] output = new int[16];
    private int count;
    private FinishReason reason;

    /**
     * @param prompt what the text begins with; penalties look at it
     * @param room how many tokens the context has left behind the prompt
     */
    public Continuation(Model model, GenerationOptions options, int[] prompt, int room) {
        this.options = options;
        eos = options.ignoreEos() ? Set.of() : model.defaults().eos();
        vocabulary = model.config().vocabulary();
        most = mostTokens(options, room);
        sampler = new Sampler(options.sampling(), prompt);
        stops = new StopStrings(options.stop());
        decoder = model.hasTokenizer() ? model.tokenizer().streamingDecoder(options.shownSpecialTokens()) : null;
    }

    /** The most tokens that can come; the last one is not run, so it needs no place in the context. */
    public static int mostTokens(GenerationOptions options, int room) {
        return Math.min(options.maxNewTokens(), room + 1);
    }

    /**
     * Draws the next token from logits {@code [at, at + vocabulary)}.
     *
     * @return the text that is certain now and was not before, often empty
     */
    public String next(float[] logits, int at) {
        return append(sampler.next(logits, at, vocabulary));
    }

    /** How many of the best tokens {@link #next(Candidates)} needs; 0 where the next token needs all logits. */
    public int enough() {
        return sampler.enough();
    }

    /** Draws the next token, the same, from the best of them. */
    public String next(Candidates best) {
        return append(sampler.next(best));
    }

    private String append(int token) {
        if (count == output.length) {
            output = Arrays.copyOf(output, count * 2);
        }
        output[count++] = token;
        String piece = "";
        if (eos.contains(token) || options.stopTokens().contains(token)) {
            reason = FinishReason.STOP;
        } else {
            if (decoder != null) {
                piece = stops.push(decoder.push(token));
            }
            if (stops.found() != null) {
                reason = FinishReason.STOP;
            } else if (count == most) {
                reason = FinishReason.LENGTH;
            }
        }
        if (reason != null && decoder != null) {
            piece += stops.push(decoder.finish()) + stops.finish();
        }
        text.append(piece);
        return piece;
    }

    /** Why the text ended; null while it goes on. */
    public FinishReason finishReason() {
        return reason;
    }

    /** How many tokens were drawn. */
    public int count() {
        return count;
    }

    /** The token drawn last. */
    public int last() {
        return output[count - 1];
    }

    /** What has become of it so far; ABORT as its end where it has not ended. */
    public Generation result(int promptTokens, int cachedTokens, double prefillSeconds, double decodeSeconds) {
        return new Generation(
                promptTokens,
                cachedTokens,
                Arrays.copyOf(output, count),
                text.toString(),
                reason == null ? FinishReason.ABORT : reason,
                stops.found(),
                prefillSeconds,
                decodeSeconds);
    }
}
