package dev.gyre.launcher.server;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.gyre.attention.EngineException;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.RejectedException;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;

/**
 * The server: a thread of its own, virtual, for every request, and one {@link Engine} for all of them.
 *
 * <pre>{@code
 * ServerMetrics metrics = new ServerMetrics("tiny-v32");
 * try (Engine engine = Engine.create(EngineOptions.defaults(), metrics);
 *         ApiServer server = ApiServer.start(engine, ServerOptions.local("tiny-v32"), metrics, "0.1.0", null)) {
 *     System.out.println(server.address());
 * }
 * }</pre>
 */
public final class ApiServer implements AutoCloseable {
    private static final int BACKLOG = 1024;
    /** What browsers may load into our page: nothing that is not ours. */
    private static final String POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";
    private static final Set<String> OPEN =
            Set.of("/", "/page.css", "/page.js", "/favicon.ico", "/health", "/health_generate", "/metrics");

    private static final String BEARER = "Bearer ";
    private static final Pattern LOCAL_NAMES =
            Pattern.compile("(?i)localhost|127(\\.\\d+){3}|\\[::1\\]|\\[0(:0){6}:1\\]");

    private final ServerContext context;
    private final ServerMetrics metrics;
    private final AccessLog log;
    private final byte[] keyDigest;
    private final HttpServer http;
    private final boolean loopback;
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    /** Path, then method, then what to do. A path that ends with a slash stands for all below it. */
    private final Map<String, Map<String, Route>> routes = new LinkedHashMap<>();

    @FunctionalInterface
    private interface Route {
        void handle(Call call) throws IOException;
    }

    private ApiServer(Engine engine, ServerOptions options, ServerMetrics metrics, String version, PrintWriter log)
            throws IOException {
        this.metrics = metrics;
        this.log = new AccessLog(options.accessLog() ? log : null);
        context = new ServerContext(engine, options);
        keyDigest = options.apiKey() == null ? null : digest(options.apiKey());
        metrics.watch(engine);
        addRoutes(version);
        InetAddress address = InetAddress.getByName(options.host());
        loopback = address.isLoopbackAddress();
        http = HttpServer.create(new InetSocketAddress(address, options.port()), BACKLOG);
        http.createContext("/", this::serve);
        http.setExecutor(threads);
    }

    /**
     * Begins to listen.
     *
     * @param log where lines of the access log go
     * @throws EngineException where the address cannot be listened at
     */
    public static ApiServer start(
            Engine engine, ServerOptions options, ServerMetrics metrics, String version, PrintWriter log) {
        try {
            ApiServer server = new ApiServer(engine, options, metrics, version, log);
            server.http.start();
            return server;
        } catch (IOException e) {
            throw new EngineException("cannot listen at " + options.host() + ":" + options.port() + ": "
                    + e.getMessage() + "; choose another --host or --port.", e);
        }
    }

    private void addRoutes(String version) {
        InfoEndpoints info = new InfoEndpoints(context, version);
        route("GET", "/v1/models", info::models);
        route("GET", "/v1/models/", info::model);
        route("POST", "/v1/completions", new CompletionsEndpoint(context)::handle);
        route("POST", "/v1/chat/completions", new ChatEndpoint(context)::handle);
        route("POST", "/generate", new GenerateEndpoint(context)::handle);
        for (String prefix : new String[] {"", "/v1"}) {
            route("POST", prefix + "/tokenize", info::tokenize);
            route("POST", prefix + "/detokenize", info::detokenize);
        }
        route("POST", "/inspect", info::inspect);
        route("GET", "/health", info::health);
        route("GET", "/health_generate", info::healthGenerate);
        route("GET", "/get_model_info", info::modelInfo);
        route("GET", "/model_info", info::modelInfo);
        route("GET", "/get_server_info", info::serverInfo);
        route("GET", "/server_info", info::serverInfo);
        route("POST", "/flush_cache", info::flushCache);
        route("POST", "/abort_request", info::abort);
        route("GET", "/metrics", call ->
                call.send(200, "text/plain; version=0.0.4; charset=utf-8", Answers.utf8(metrics.scrape())));
        route("GET", "/", call -> resource(call, "index.html", "text/html; charset=utf-8"));
        route("GET", "/page.css", call -> resource(call, "page.css", "text/css; charset=utf-8"));
        route("GET", "/page.js", call -> resource(call, "page.js", "text/javascript; charset=utf-8"));
        route("GET", "/favicon.ico", call -> call.send(204, "image/x-icon", new byte[0]));
    }

    private void route(String method, String path, Route route) {
        routes.computeIfAbsent(path, p -> new HashMap<>()).put(method, route);
    }

    private static void resource(Call call, String name, String type) throws IOException {
        try (InputStream in = ApiServer.class.getResourceAsStream("page/" + name)) {
            call.setHeader("Content-Security-Policy", POLICY);
            call.send(200, type, in.readAllBytes());
        }
    }

    private void serve(HttpExchange exchange) {
        long start = System.nanoTime();
        Call call = new Call(exchange, context.options().maxBodyBytes());
        try (exchange) {
            try {
                call.setHeader("X-Content-Type-Options", "nosniff");
                if (!answeredPreflight(call)) {
                    checkSite(call);
                    authorize(call);
                    find(call).handle(call);
                }
            } catch (ApiError e) {
                call.send(e);
            } catch (RejectedException e) {
                call.send(ApiError.of(e));
            } catch (EngineException e) {
                call.send(e.isUsage() ? ApiError.of(e) : ApiError.of(500, null, e.getMessage()));
            } catch (IOException e) {
                call.note("error", "the client is gone");
            } catch (RuntimeException | Error e) {
                call.note("error", "defect: " + e.getClass().getName());
                call.send(ApiError.of(500, null, "this is a defect in Gyre: " + e + "."));
            }
        } catch (IOException e) {
            call.note("error", "the client is gone");
        } finally {
            String remote = exchange.getRemoteAddress().getAddress().getHostAddress();
            log.write(call, remote, (System.nanoTime() - start) * 1e-9);
        }
    }

    private Route find(Call call) {
        String path = call.path();
        Map<String, Route> methods = routes.get(path);
        if (methods == null && path.startsWith("/v1/models/")) {
            methods = routes.get("/v1/models/");
        }
        if (methods == null) {
            throw ApiError.of(404, null, "there is nothing at " + path + ".");
        }
        Route route = methods.get(call.method().equals("HEAD") ? "GET" : call.method());
        if (route == null) {
            String allowed = String.join(", ", new TreeSet<>(methods.keySet()));
            call.setHeader("Allow", allowed);
            throw ApiError.of(405, null, call.method() + " is not for " + path + "; use " + allowed + ".");
        }
        return route;
    }

    /** Sets CORS headers where the caller's origin may have them; whether this was only a browser asking whether. */
    private boolean answeredPreflight(Call call) throws IOException {
        String origin = call.header("Origin");
        boolean any = context.options().corsOrigins().contains("*");
        if (origin == null || !any && !context.options().corsOrigins().contains(origin)) {
            return false;
        }
        call.setHeader("Access-Control-Allow-Origin", any ? "*" : origin);
        call.setHeader("Vary", "Origin");
        if (!call.method().equals("OPTIONS") || call.header("Access-Control-Request-Method") == null) {
            return false;
        }
        call.setHeader("Access-Control-Allow-Methods", "GET, POST");
        String wanted = call.header("Access-Control-Request-Headers"); // clients have headers of their own
        call.setHeader("Access-Control-Allow-Headers", wanted == null ? "Authorization, Content-Type" : wanted);
        call.setHeader("Access-Control-Max-Age", "600");
        call.send(204, "text/plain", new byte[0]);
        return true;
    }

    /**
     * Other sites' pages have no business here, unless CORS lets them in: a browser sends what they ask for although it
     * does not show them the answer, and a name of theirs may lead to this machine (DNS rebinding).
     */
    private void checkSite(Call call) {
        String host = hostName(call.header("Host"));
        if (loopback && keyDigest == null && host != null && !LOCAL_NAMES.matcher(host).matches()
                && !host.equalsIgnoreCase(context.options().host())) {
            throw ApiError.of(403, null, "this server is for its own machine, and not for the name '" + host
                    + "'; set an API key to be reached by it.");
        }
        String origin = call.header("Origin");
        boolean allowed = origin == null
                || context.options().corsOrigins().contains("*")
                || context.options().corsOrigins().contains(origin)
                || origin.endsWith("//" + call.header("Host"));
        if (!allowed && call.method().equals("POST")) {
            throw ApiError.of(403, null, "pages of " + origin + " may not call this server.");
        }
    }

    private static String hostName(String host) {
        return host == null ? null : host.replaceFirst(":\\d+$", "");
    }

    /** Compares digests in constant time, so that neither the key nor its length shows in how long it takes. */
    private void authorize(Call call) {
        if (keyDigest == null || OPEN.contains(call.path())) {
            return;
        }
        String header = call.header("Authorization");
        boolean bearer = header != null && header.regionMatches(true, 0, BEARER, 0, BEARER.length());
        String given = bearer ? header.substring(BEARER.length()).strip() : "";
        if (!MessageDigest.isEqual(keyDigest, digest(given))) {
            call.setHeader("WWW-Authenticate", "Bearer");
            throw ApiError.of(401, "invalid_api_key",
                    "the API key is missing or wrong; send it as Authorization: Bearer KEY.");
        }
    }

    private static byte[] digest(String key) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(Answers.utf8(key));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every JDK has it
        }
    }

    /** Where it listens: {@code http://127.0.0.1:30000}. */
    public String address() {
        String host = http.getAddress().getAddress().getHostAddress();
        return "http://" + (host.contains(":") ? "[" + host + "]" : host) + ":" + http.getAddress().getPort();
    }

    /** Waits until all texts that were generated are sent; false where that took longer. Refuses no new requests. */
    public boolean drain(Duration most) throws InterruptedException {
        long end = System.nanoTime() + most.toNanos();
        while (!context.isIdle()) {
            if (System.nanoTime() > end) {
                return false;
            }
            Thread.sleep(5);
        }
        return true;
    }

    /** Stops listening; answers that are being sent have a second to be complete. */
    @Override
    public void close() {
        http.stop(1);
        threads.shutdownNow();
    }
}
