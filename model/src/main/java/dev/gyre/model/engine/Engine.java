package dev.gyre.model.engine;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.HostMemory;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.model.Model;
import dev.gyre.model.checkpoint.LoadListener;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.ModelRunner;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/**
 * A model that many callers share. Requests from any number of threads run together, in batches; every greedy answer is
 * the one that it would be alone.
 *
 * <pre>{@code
 * try (Engine engine = Engine.create(EngineOptions.defaults())) {
 *     Generation answer = engine.generate("Fellow-Citizens of the Senate", GenerationOptions.greedy(32));
 *     engine.stream("Call me", GenerationOptions.greedy(32), System.out::print);
 * }
 * }</pre>
 */
public final class Engine implements AutoCloseable {
    private static final int CONTEXTS = 4;
    private static final int SHARE_OF_MEMORY = 4;

    private final Model model;
    private final EngineOptions options;
    private final ModelRunner runner;
    private final RequestQueue queue;
    private final Scheduler scheduler;
    private final Thread thread;
    private final AtomicBoolean closed = new AtomicBoolean();

    private Engine(EngineOptions options, EngineListener listener, LoadListener loading) {
        this.options = options;
        model = Model.open(options.model(), loading);
        try {
            runner = model.runner(1, totalTokens(model, options));
        } catch (RuntimeException | Error e) {
            model.close();
            throw e;
        }
        queue = new RequestQueue(options.maxQueued());
        scheduler = new Scheduler(model, runner, queue, options, listener);
        thread = Thread.ofPlatform().name("gyre-scheduler").daemon().start(scheduler::run);
    }

    private static int totalTokens(Model model, EngineOptions options) {
        if (options.maxTotalTokens() > 0) {
            return options.maxTotalTokens();
        }
        long bytes = KvCache.bytesPerToken(model.cacheShapes(), model.cacheDtype());
        long most = Math.max(HostMemory.bytes() / SHARE_OF_MEMORY / bytes, 1);
        long contexts = Math.min(CONTEXTS, options.maxRunning());
        return (int) Math.min(Math.min(contexts * model.contextLength(), most), Integer.MAX_VALUE / 2);
    }

    /**
     * Opens a model and starts the thread that runs it.
     *
     * @throws EngineException where the model cannot be opened or the caches do not fit into memory
     */
    public static Engine create(EngineOptions options) {
        return create(options, EngineListener.NONE);
    }

    /** The same with someone who hears what it does. */
    public static Engine create(EngineOptions options, EngineListener listener) {
        return create(options, listener, LoadListener.NONE);
    }

    /** The same with someone who hears how far the model is loaded. */
    public static Engine create(EngineOptions options, EngineListener listener, LoadListener loading) {
        return new Engine(options, listener, loading);
    }

    /**
     * Begins a request; its answer comes through the stream.
     *
     * @throws EngineException where it can never be answered: tokens that the model does not know, more of them than
     *     the context or the caches hold
     * @throws RejectedException where the queue is full or the engine is stopping
     */
    public TokenStream submit(GenerationRequest request) {
        return submit(List.of(request)).getFirst();
    }

    /** Begins all of these requests, or none of them; as {@link #submit(GenerationRequest)}. */
    public List<TokenStream> submit(List<GenerationRequest> requests) {
        if (requests.size() > options.maxQueued()) {
            throw EngineException.usage(requests.size() + " texts were asked for at once and the queue has room for "
                    + options.maxQueued() + "; ask for fewer.");
        }
        List<Job> jobs = requests.stream().map(this::job).toList();
        queue.add(jobs, options.maxRunning());
        return jobs.stream().map(job -> job.stream).toList();
    }

    private Job job(GenerationRequest request) {
        int[] prompt = request.prompt();
        int vocabulary = model.config().vocabulary();
        for (int token : prompt) {
            if (token < 0 || token >= vocabulary) {
                throw EngineException.usage(
                        "token " + token + " is not in the vocabulary: ids go from 0 to " + (vocabulary - 1) + ".");
            }
        }
        if (prompt.length > model.contextLength()) {
            throw EngineException.usage("the prompt of " + prompt.length + " tokens is longer than the context of "
                    + model.contextLength() + "; shorten it.");
        }
        Job job = new Job(model, request, new TokenStream(queue::wake));
        if (!scheduler.fits(job.mostTokens)) {
            throw EngineException.usage("prompt and answer may come to " + job.mostTokens
                    + " tokens and the caches hold " + scheduler.stats().tokens()
                    + "; ask for fewer, or raise --max-total-tokens.");
        }
        return job;
    }

    /**
     * Continues a text; waits for the whole answer.
     *
     * @param prompt gets the BOS that the tokenizer asks for
     */
    public Generation generate(String prompt, GenerationOptions options) {
        return generate(model.tokenizer().encodeWithBos(prompt), options);
    }

    /** Continues tokens; waits for the whole answer. */
    public Generation generate(int[] prompt, GenerationOptions options) {
        return stream(prompt, options, piece -> {});
    }

    /** Continues a text; its pieces go to {@code listener}, on this thread, as they come. */
    public Generation stream(String prompt, GenerationOptions options, Consumer<String> listener) {
        return stream(model.tokenizer().encodeWithBos(prompt), options, listener);
    }

    /** Continues tokens; the pieces of text go to {@code listener}, on this thread, as they come. */
    public Generation stream(int[] prompt, GenerationOptions options, Consumer<String> listener) {
        try (TokenStream stream = submit(GenerationRequest.of(prompt, options))) {
            while (true) {
                switch (stream.next()) {
                    case StreamEvent.Token token -> {
                        if (!token.text().isEmpty()) {
                            listener.accept(token.text());
                        }
                    }
                    case StreamEvent.End end -> {
                        return end.generation();
                    }
                    case StreamEvent.Failed failed -> throw new EngineException(failed.sentence());
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new EngineException("the thread was interrupted while it waited for a text.", e);
        }
    }

    /** The model: its configuration and tokenizer. To run it is this engine's business alone. */
    public Model model() {
        return model;
    }

    /** How the engine was opened. */
    public EngineOptions options() {
        return options;
    }

    /** The most tokens that a sequence can have: the context, or the caches where they are smaller. */
    public int mostTokens() {
        return Math.min(model.contextLength(), scheduler.stats().tokens());
    }

    /** How it is at this moment. */
    public EngineStats stats() {
        return scheduler.stats();
    }

    /** Forgets what no running sequence uses; waits until that is done. */
    public void flushCache() {
        CompletableFuture<Void> done = new CompletableFuture<>();
        queue.task(() -> {
            scheduler.flush();
            done.complete(null);
        });
        done.join();
    }

    /** Whether it takes no more requests. */
    public boolean isStopping() {
        return queue.isDraining();
    }

    /** Takes no more requests and waits for those that it has; false where they were not done in time. */
    public boolean drain(Duration most) throws InterruptedException {
        return queue.drain(most.toNanos());
    }

    /** Ends at once: what still runs or waits fails. */
    @Override
    public void close() {
        queue.stop();
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (!closed.getAndSet(true)) {
            runner.close();
            model.close();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
