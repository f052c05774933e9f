package dev.gyre.model.engine;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * The answer to a request, as it comes. Whoever reads slowly holds nobody up: what was not read waits here. Closing a
 * stream that has not ended cancels its request.
 *
 * <pre>{@code
 * try (TokenStream stream = engine.submit(request)) {
 *     while (stream.next() instanceof StreamEvent.Token token) {
 *         System.out.print(token.text());
 *     }
 * }
 * }</pre>
 */
public final class TokenStream implements AutoCloseable {
    private final LinkedBlockingQueue<StreamEvent> events = new LinkedBlockingQueue<>();
    private final Runnable wake;
    private volatile boolean cancelled;
    private volatile boolean ended;
    private volatile List<int[]> selections = List.of();

    /** @param wake tells the engine to look at what was cancelled */
    TokenStream(Runnable wake) {
        this.wake = wake;
    }

    /** The next event; after the last one there is none, and this waits forever. */
    public StreamEvent next() throws InterruptedException {
        return events.take();
    }

    /** The next event, or null where none comes within {@code wait}. */
    public StreamEvent next(Duration wait) throws InterruptedException {
        return events.poll(wait.toNanos(), TimeUnit.NANOSECONDS);
    }

    /** Gives the request up; what there is of the text then comes as its end. */
    public void cancel() {
        cancelled = true;
        wake.run();
    }

    /**
     * Which positions each layer's indexer selected for the last token of the prompt, ascending, one array a layer;
     * empty before the first token, where they were not asked for, and where attention is dense.
     */
    public List<int[]> selections() {
        return selections;
    }

    @Override
    public void close() {
        if (!ended) {
            cancel();
        }
    }

    boolean isCancelled() {
        return cancelled;
    }

    void add(StreamEvent event) {
        ended = !(event instanceof StreamEvent.Token);
        events.add(event);
    }

    void setSelections(List<int[]> layers) {
        selections = layers;
    }
}
