package dev.gyre.launcher.server;

import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.GenerationRequest;
import dev.gyre.model.engine.StreamEvent;
import dev.gyre.model.engine.TokenStream;
import dev.gyre.model.generate.Generation;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The generations of one HTTP request, several where it has several prompts or wants several answers. */
final class Choices implements AutoCloseable {
    /** How often a stream without tokens shows that it is alive. */
    private static final Duration ALIVE = Duration.ofSeconds(2);
    /** How long an answer as a whole may take before it shows that it is alive. */
    private static final Duration LATE = Duration.ofSeconds(5);

    private final List<TokenStream> streams;
    private final Runnable whenClosed;
    private final LinkedBlockingQueue<Arrival> arrivals = new LinkedBlockingQueue<>();

    private record Arrival(int choice, StreamEvent event) {}

    /** What to do with what comes. */
    interface Listener {
        void token(int choice, StreamEvent.Token token) throws IOException;

        void end(int choice, Generation generation) throws IOException;
    }

    /** Waits for the end. */
    static final class Ignore implements Listener {
        @Override
        public void token(int choice, StreamEvent.Token token) {}

        @Override
        public void end(int choice, Generation generation) {}
    }

    /** Begins all of them, or none. */
    Choices(Engine engine, List<GenerationRequest> requests, Runnable whenClosed) {
        this.whenClosed = whenClosed;
        streams = engine.submit(requests);
    }

    /** Passes everything on, in the order in which it comes, until the last has ended. */
    void read(Call call, boolean stream, Listener listener) throws IOException {
        if (streams.size() > 1) {
            for (int i = 0; i < streams.size(); i++) {
                int choice = i;
                Thread.ofVirtual().start(() -> pump(choice));
            }
        }
        try {
            int open = streams.size();
            Duration silence = stream ? ALIVE : LATE;
            while (open > 0) {
                Arrival arrival = next(silence);
                switch (arrival == null ? null : arrival.event()) {
                    case null -> {}
                    case StreamEvent.Token token -> listener.token(arrival.choice(), token);
                    case StreamEvent.End end -> {
                        open--;
                        listener.end(arrival.choice(), end.generation());
                    }
                    case StreamEvent.Failed failed -> throw ApiError.of(failed);
                }
                // tokens may come all the time and nothing be sent: the client is only missed when something is
                if (open > 0 && call.silentFor(silence)) {
                    if (stream) {
                        call.alive();
                    } else {
                        call.late();
                    }
                }
            }
        } catch (InterruptedException e) {
            throw new IOException("interrupted", e);
        }
    }

    private Arrival next(Duration wait) throws InterruptedException {
        if (streams.size() > 1) {
            return arrivals.poll(wait.toNanos(), TimeUnit.NANOSECONDS);
        }
        StreamEvent event = streams.getFirst().next(wait);
        return event == null ? null : new Arrival(0, event);
    }

    private void pump(int choice) {
        try {
            StreamEvent event;
            do {
                event = streams.get(choice).next();
                arrivals.add(new Arrival(choice, event));
            } while (event instanceof StreamEvent.Token);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt(); // nobody interrupts it
        }
    }

    /** Gives up a choice; it still ends. */
    void cancel(int choice) {
        streams.get(choice).cancel();
    }

    /** Gives up all of them. */
    void cancel() {
        streams.forEach(TokenStream::cancel);
    }

    /** The streams, choice by choice. */
    List<TokenStream> streams() {
        return streams;
    }

    @Override
    public void close() {
        whenClosed.run();
        streams.forEach(TokenStream::close);
    }
}
