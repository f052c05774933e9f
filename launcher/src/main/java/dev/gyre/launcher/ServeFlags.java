package dev.gyre.launcher;

import dev.gyre.attention.EngineException;
import dev.gyre.launcher.server.ServerOptions;
import dev.gyre.model.engine.EngineOptions;
import picocli.CommandLine.Option;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** How {@code engine serve} serves. The names are SGLang's where it has them. */
final class ServeFlags {
    private static final EngineOptions DEFAULTS = EngineOptions.defaults();
    private static final double MOST_SECONDS = 1e6;

    @Option(
            names = "--host",
            paramLabel = "ADDRESS",
            description = "the address to listen at; 0.0.0.0 for all of the machine's (default: 127.0.0.1)")
    private String host = "127.0.0.1";

    @Option(names = "--port", paramLabel = "N", description = "0 for any that is free (default: 30000)")
    private int port = 30000;

    @Option(
            names = "--served-model-name",
            paramLabel = "NAME",
            description = "what clients call the model (default: its folder)")
    private String modelName;

    @Option(
            names = "--api-key",
            paramLabel = "KEY",
            description = "clients must send it as a bearer token (default: none)")
    private String apiKey;

    @Option(
            names = "--cors-origin",
            paramLabel = "ORIGIN",
            description = "pages of this origin may call; * for all; may be repeated (default: none)")
    private List<String> corsOrigins = new ArrayList<>();

    @Option(
            names = "--max-running-requests",
            paramLabel = "N",
            description = "the most sequences of a decode step (default: 64)")
    private int maxRunning = DEFAULTS.maxRunning();

    @Option(
            names = "--max-queued-requests",
            paramLabel = "N",
            description = "requests beyond these are answered with 429 (default: 1024)")
    private int maxQueued = DEFAULTS.maxQueued();

    @Option(
            names = "--max-total-tokens",
            paramLabel = "N",
            description = "tokens that the caches hold (default: four contexts, at most a quarter of the memory)")
    private int maxTotalTokens;

    @Option(names = "--disable-radix-cache", description = "forget what was computed when a request ends")
    private boolean disableRadixCache;

    @Option(
            names = "--request-timeout",
            paramLabel = "SECONDS",
            description = "a request is given up after this; 0 for never (default: 600)")
    private double requestTimeout = 600;

    @Option(
            names = "--shutdown-timeout",
            paramLabel = "SECONDS",
            description = "how long SIGTERM waits for running requests (default: 30)")
    private double shutdownTimeout = 30;

    @Option(names = "--max-body-bytes", paramLabel = "N", description = "the largest request (default: 4194304)")
    private int maxBodyBytes = 4 << 20;

    @Option(names = "--no-access-log", description = "do not write a line to stderr for every request")
    private boolean noAccessLog;

    /** How to serve a model of that name. */
    ServerOptions server(String defaultName) {
        double seconds = seconds("--request-timeout", requestTimeout);
        return new ServerOptions(
                host,
                port,
                modelName == null ? defaultName : modelName,
                apiKey,
                corsOrigins,
                maxBodyBytes,
                seconds == 0 ? null : duration(seconds),
                !noAccessLog);
    }

    /** How to run the default model. */
    EngineOptions engine() {
        return new EngineOptions(DEFAULTS.model(), maxRunning, maxQueued, maxTotalTokens, !disableRadixCache);
    }

    /** How long to wait for requests that run when the process is to end. */
    Duration shutdownTimeout() {
        return duration(seconds("--shutdown-timeout", shutdownTimeout));
    }

    /** Seconds that an answer may take to be sent; what is not read until then is lost. */
    long answerSeconds() {
        return requestTimeout == 0 ? 0 : (long) Math.ceil(requestTimeout) + 60;
    }

    private static double seconds(String option, double value) {
        if (!(value >= 0 && value <= MOST_SECONDS)) {
            throw EngineException.usage(
                    option + " must be from 0 to " + (long) MOST_SECONDS + " seconds, not " + value + ".");
        }
        return value;
    }

    private static Duration duration(double seconds) {
        return Duration.ofNanos((long) (seconds * 1e9));
    }
}
