package dev.gyre.launcher.server;

import dev.gyre.attention.EngineException;

import java.time.Duration;
import java.util.List;

/**
 * How to serve.
 *
 * @param host the address to listen at
 * @param port 0 for any that is free
 * @param modelName what clients call the model
 * @param apiKey what they must send as a bearer token; null for nothing
 * @param corsOrigins whose pages may call; {@code *} for all of them; by default nobody's but our own
 * @param maxBodyBytes the largest request
 * @param requestTimeout after which a request is given up; null for never
 * @param accessLog whether a line is written for every request, without its text
 */
public record ServerOptions(
        String host,
        int port,
        String modelName,
        String apiKey,
        List<String> corsOrigins,
        int maxBodyBytes,
        Duration requestTimeout,
        boolean accessLog) {
    private static final int MOST_BODY = 1 << 30;

    /** Checks the ranges. */
    public ServerOptions {
        corsOrigins = List.copyOf(corsOrigins);
        if (port < 0 || port > 65535) {
            throw EngineException.usage("--port must be from 0 to 65535, not " + port + ".");
        }
        if (maxBodyBytes < 1 || maxBodyBytes > MOST_BODY) {
            throw EngineException.usage(
                    "--max-body-bytes must be from 1 to " + MOST_BODY + ", not " + maxBodyBytes + ".");
        }
        if (apiKey != null && !apiKey.matches("[!-~]+")) {
            throw EngineException.usage("--api-key must be made of visible ASCII characters.");
        }
        if (requestTimeout != null && requestTimeout.isNegative()) {
            throw EngineException.usage("--request-timeout must not be negative.");
        }
    }

    /** On a free port of this machine alone. */
    public static ServerOptions local(String modelName) {
        return new ServerOptions("127.0.0.1", 0, modelName, null, List.of(), 4 << 20, null, false);
    }
}
