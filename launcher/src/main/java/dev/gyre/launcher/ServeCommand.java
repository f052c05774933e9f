package dev.gyre.launcher;

import dev.gyre.launcher.server.ApiServer;
import dev.gyre.launcher.server.ServerMetrics;
import dev.gyre.launcher.server.ServerOptions;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.EngineOptions;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.SamplingOptions;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;

/** {@code engine serve}: until it is told to end by SIGTERM or SIGINT. */
@Command(
        name = "serve",
        description = "Serves the model: OpenAI's API, SGLang's /generate, metrics for Prometheus, and a page at /.")
final class ServeCommand implements Callable<Integer> {
    /** How long a client may take to send a request. */
    private static final int REQUEST_SECONDS = 60;
    private static final int WARM_UPS = 4;
    private static final int WARM_UP_PROMPT = 256;
    private static final int WARM_UP_TOKENS = 32;

    @Mixin
    private ServeFlags serving;

    @Mixin
    private EngineFlags flags;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException, InterruptedException {
        PrintWriter err = spec.commandLine().getErr();
        ServerOptions options = serving.server(flags.model().name());
        EngineOptions engineOptions = serving.engine();
        Duration shutdown = serving.shutdownTimeout();
        configureHttp();
        ServerMetrics metrics = new ServerMetrics(options.modelName());
        try (Engine engine = flags.create(engineOptions, metrics)) {
            warmUp(engine);
            try (ApiServer server = ApiServer.start(engine, options, metrics, EngineCommand.Version.number(), err)) {
                Runtime.getRuntime()
                        .addShutdownHook(new Thread(() -> stop(engine, server, shutdown, err), "gyre-shutdown"));
                err.println("engine: serving " + options.modelName() + " at " + server.address() + " with caches of "
                        + engine.stats().tokens() + " tokens.");
                err.flush();
                new CountDownLatch(1).await(); // until the hook ends the process
            }
        }
        return 0;
    }

    /** So that the first client does not wait for what the JVM and the tokenizer do only once. */
    private static void warmUp(Engine engine) {
        int[] prompt = new int[Math.min(WARM_UP_PROMPT, engine.mostTokens() / 2 + 1)];
        for (int i = 0; i < WARM_UPS; i++) {
            prompt[0] = i % engine.model().config().vocabulary(); // else the cache would have the prompt
            engine.generate(prompt, new GenerationOptions(
                    WARM_UP_TOKENS, SamplingOptions.GREEDY, List.of(), Set.of(), true));
        }
        engine.flushCache();
    }

    /** What the JDK's server has no methods for. It reads these once, when its first class is loaded. */
    private void configureHttp() {
        System.setProperty("sun.net.httpserver.nodelay", "true"); // else small events wait for the client's next ACK
        System.setProperty("sun.net.httpserver.maxReqTime", Integer.toString(REQUEST_SECONDS));
        if (serving.answerSeconds() > 0) {
            System.setProperty("sun.net.httpserver.maxRspTime", Long.toString(serving.answerSeconds()));
        }
    }

    /** New requests are refused from now on; those that run have their time; then the process ends. */
    private static void stop(Engine engine, ApiServer server, Duration most, PrintWriter err) {
        boolean done = false;
        try {
            engine.drain(Duration.ZERO); // refuses what comes from here on: whoever reads the next line may count on it
            err.println("engine: stopping; waiting for " + engine.stats().running() + " running and "
                    + engine.stats().queued() + " waiting requests.");
            long end = System.nanoTime() + most.toNanos();
            done = engine.drain(most) && server.drain(Duration.ofNanos(Math.max(0, end - System.nanoTime())));
            server.close();
            err.println(done ? "engine: stopped." : "engine: stopped before all requests were complete.");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        err.flush();
        // the hook ends what was asked to end: 0 where nothing was lost, 1 otherwise
        Runtime.getRuntime().halt(done ? 0 : 1);
    }
}
