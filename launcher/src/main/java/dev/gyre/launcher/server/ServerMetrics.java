package dev.gyre.launcher.server;

import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.EngineListener;
import dev.gyre.model.engine.EngineStats;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.Timer;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;

import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;

/** What {@code /metrics} shows, for Prometheus: SGLang's names with {@code gyre_} before them. */
public final class ServerMetrics implements EngineListener {
    private static final Duration[] LATENCIES = durations(
            0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300);

    private final PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    private volatile boolean watching;
    private final Tags tags;
    private final Counter promptTokens;
    private final Counter cachedTokens;
    private final Counter generatedTokens;
    private final Counter requests;
    private final Counter aborted;
    private final Timer queued;
    private final Timer firstToken;
    private final Timer nextToken;
    private final Timer whole;

    /** @param modelName what clients call the model */
    public ServerMetrics(String modelName) {
        tags = Tags.of("model_name", modelName);
        promptTokens = counter("gyre.prompt.tokens", "tokens of the prompts that were begun");
        cachedTokens = counter("gyre.cached.tokens", "those of them that were in the cache");
        generatedTokens = counter("gyre.generation.tokens", "tokens that were generated");
        requests = counter("gyre.num.requests", "requests that ended");
        aborted = counter("gyre.num.aborted.requests", "those of them that were given up or failed");
        queued = timer("gyre.queue.time", "how long requests waited");
        firstToken = timer("gyre.time.to.first.token", "from a request to its first token");
        nextToken = timer("gyre.time.per.output.token", "from a token to the next");
        whole = timer("gyre.e2e.request.latency", "from a request to its end");
    }

    private static Duration[] durations(double... seconds) {
        Duration[] durations = new Duration[seconds.length];
        for (int i = 0; i < seconds.length; i++) {
            durations[i] = Duration.ofNanos((long) (seconds[i] * 1e9));
        }
        return durations;
    }

    private Counter counter(String name, String description) {
        return Counter.builder(name).description(description).tags(tags).register(registry);
    }

    private Timer timer(String name, String description) {
        return Timer.builder(name)
                .description(description)
                .tags(tags)
                .serviceLevelObjectives(LATENCIES)
                .register(registry);
    }

    /** Adds what the engine tells when asked; what it did before, to warm up, does not count. */
    void watch(Engine engine) {
        watching = true;
        gauge("gyre.num.running.reqs", "requests that run", engine, EngineStats::running);
        gauge("gyre.num.queue.reqs", "requests that wait", engine, EngineStats::queued);
        gauge("gyre.num.used.tokens", "tokens of the caches that requests hold", engine, EngineStats::tokensInUse);
        gauge("gyre.token.usage", "the same as a share of the caches", engine,
                stats -> (double) stats.tokensInUse() / stats.tokens());
        gauge("gyre.kept.tokens", "tokens that are kept for requests to come", engine, EngineStats::tokensKept);
        gauge("gyre.max.total.num.tokens", "tokens that the caches hold", engine, EngineStats::tokens);
        gauge("gyre.evicted.pages", "pages of 64 tokens that were given up", engine, EngineStats::evictedPages);
        gauge("gyre.gen.throughput", "tokens generated per second, lately", engine, EngineStats::tokensPerSecond);
        Gauge.builder("gyre.cache.hit.rate", () -> cachedTokens.count() / Math.max(1, promptTokens.count()))
                .description("the share of all prompts' tokens that was in the cache")
                .tags(tags)
                .register(registry);
    }

    private void gauge(String name, String description, Engine engine, ToDoubleFunction<EngineStats> value) {
        Gauge.builder(name, engine, one -> value.applyAsDouble(one.stats()))
                .description(description)
                .tags(tags)
                .register(registry);
    }

    /** In Prometheus's text format. */
    String scrape() {
        return registry.scrape();
    }

    @Override
    public void admitted(int promptLength, int found, double secondsQueued) {
        if (!watching) {
            return;
        }
        promptTokens.increment(promptLength);
        cachedTokens.increment(found);
        queued.record(nanos(secondsQueued), TimeUnit.NANOSECONDS);
    }

    @Override
    public void firstToken(double seconds) {
        if (!watching) {
            return;
        }
        generatedTokens.increment();
        firstToken.record(nanos(seconds), TimeUnit.NANOSECONDS);
    }

    @Override
    public void nextToken(double seconds) {
        if (!watching) {
            return;
        }
        generatedTokens.increment();
        nextToken.record(nanos(seconds), TimeUnit.NANOSECONDS);
    }

    @Override
    public void ended(int tokens, boolean complete, double seconds) {
        if (!watching) {
            return;
        }
        requests.increment();
        if (!complete) {
            aborted.increment();
        }
        whole.record(nanos(seconds), TimeUnit.NANOSECONDS);
    }

    private static long nanos(double seconds) {
        return (long) (seconds * 1e9);
    }
}
