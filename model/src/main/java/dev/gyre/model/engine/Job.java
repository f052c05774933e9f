package dev.gyre.model.engine;

import dev.gyre.attention.cache.PrefixCache.Claim;
import dev.gyre.model.Model;
import dev.gyre.model.generate.Continuation;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.Logprobs;
import dev.gyre.model.generate.Sequence;
import dev.gyre.model.ops.Candidates;

import java.util.Arrays;

/** A request on its way through the {@link Scheduler}, which alone touches it. */
final class Job {
    final GenerationRequest request;
    final TokenStream stream;
    final Continuation text;
    /** The most tokens that its sequence can come to hold. */
    final int mostTokens;
    final long submitted = System.nanoTime();
    private final Model model;
    /** What the sequence holds or will hold next: the prompt and what was generated. */
    private int[] tokens;
    private long firstToken;
    private long lastToken;
    Claim claim;
    Sequence sequence;

    Job(Model model, GenerationRequest request, TokenStream stream) {
        this.model = model;
        this.request = request;
        this.stream = stream;
        int room = model.contextLength() - request.prompt().length;
        text = new Continuation(model, request.options(), request.prompt(), room);
        mostTokens = request.prompt().length + Continuation.mostTokens(request.options(), room) - 1;
        tokens = request.prompt();
    }

    int promptLength() {
        return request.prompt().length;
    }

    int[] tokens() {
        return tokens;
    }

    /** Whether its prompt is cached, so that one token at a time follows. */
    boolean decodes() {
        return text.count() > 0;
    }

    boolean expired(long now) {
        return request.timeout() != null && now - submitted > request.timeout().toNanos();
    }

    /** How many of the best tokens {@link #accept(Candidates, EngineListener)} needs; 0 where all logits are needed. */
    int enough() {
        return request.topLogprobs() < 0 ? text.enough() : 0;
    }

    /** Draws the next token and passes it on. */
    void accept(float[] logits, int at, EngineListener listener) {
        String piece = text.next(logits, at);
        int top = request.topLogprobs();
        int vocabulary = model.config().vocabulary();
        pass(piece, top < 0 ? null : Logprobs.of(logits, at, vocabulary, text.last(), top), listener);
    }

    /** Draws the next token from the best of them and passes it on. */
    void accept(Candidates best, EngineListener listener) {
        pass(text.next(best), null, listener);
    }

    private void pass(String piece, Logprobs logprobs, EngineListener listener) {
        long now = System.nanoTime();
        if (text.count() == 1) {
            firstToken = now;
            listener.firstToken((now - submitted) * 1e-9);
        } else {
            listener.nextToken((now - lastToken) * 1e-9);
        }
        lastToken = now;
        int length = promptLength() + text.count();
        if (tokens.length < length) {
            tokens = Arrays.copyOf(tokens, Math.min(mostTokens + 1, length * 2));
        }
        tokens[length - 1] = text.last();
        stream.add(new StreamEvent.Token(text.last(), piece, logprobs));
    }

    Generation result() {
        long now = System.nanoTime();
        long first = text.count() > 0 ? firstToken : now;
        return text.result(promptLength(), claim == null ? 0 : claim.reused(), (first - submitted) * 1e-9,
                (now - first) * 1e-9);
    }
}
