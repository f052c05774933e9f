package dev.gyre.launcher;

import dev.gyre.attention.EngineException;
import picocli.CommandLine;

import java.io.Console;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Where {@code engine.jar} starts. */
public final class Main {
    private Main() {}

    /** Runs a command and exits with its code. */
    public static void main(String[] args) {
        // a kernel that fails must not go on as slow Java; ./engine says so to TornadoVM, its own launcher does not
        System.getProperties().putIfAbsent("tornado.recover.bailout", "False");
        start(new EngineCommand(), args);
    }

    /** Runs a command, the engine's or that of another program with the same manners, and exits with its code. */
    public static void start(Object command, String[] args) {
        System.getProperties().putIfAbsent("java.awt.headless", "true"); // charts are drawn into files
        // a terminal shows its own charset; programs that read the answer expect UTF-8 whatever the locale
        Console console = System.console();
        boolean terminal = console != null && console.isTerminal();
        PrintWriter out = new PrintWriter(System.out, true, terminal ? System.out.charset() : StandardCharsets.UTF_8);
        PrintWriter err = new PrintWriter(System.err, true, System.err.charset());
        int code = run(command, args, System.getenv(), out, err);
        out.flush();
        err.flush();
        System.exit(code);
    }

    /** Runs one of the engine's commands, as {@link #run(Object, String[], Map, PrintWriter, PrintWriter)}. */
    public static int run(String[] args, Map<String, String> environment, PrintWriter out, PrintWriter err) {
        return run(new EngineCommand(), args, environment, out, err);
    }

    /**
     * Runs a command.
     *
     * @param command with Picocli's annotations
     * @param environment where {@code GYRE_*} defaults of options come from
     * @return 0 for success, 1 for a failure, 2 for a command line that cannot be right
     */
    public static int run(
            Object command, String[] args, Map<String, String> environment, PrintWriter out, PrintWriter err) {
        CommandLine line = new CommandLine(command);
        line.setOut(out);
        line.setErr(err);
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setDefaultValueProvider(new EnvironmentDefaults(environment));
        line.setParameterExceptionHandler((e, a) -> {
            String message = e.getCause() instanceof EngineException cause ? cause.getMessage() : e.getMessage();
            complain(err, message.replaceFirst("^Error: ", "")); // picocli's own, before some of its messages
            err.println("Try '" + e.getCommandLine().getCommandSpec().qualifiedName() + " --help'.");
            return 2;
        });
        line.setExecutionExceptionHandler((e, failing, parsed) -> failed(e, environment, err));
        try {
            return line.execute(args);
        } catch (OutOfMemoryError e) {
            complain(err, "the Java heap is too small for this; give it more with JAVA_TOOL_OPTIONS=-Xmx8g, or use a "
                    + "shorter --context-length or --prefill-chunk.");
            return 1;
        }
    }

    private static int failed(Exception e, Map<String, String> environment, PrintWriter err) {
        if (environment.containsKey("GYRE_STACKTRACE")) {
            e.printStackTrace(err);
        }
        if (e instanceof EngineException mistake) {
            complain(err, mistake.getMessage());
            return mistake.isUsage() ? 2 : 1;
        }
        complain(err, "this is a defect in Gyre: " + e
                + "; please report it with the trace that GYRE_STACKTRACE=1 shows.");
        return 1;
    }

    private static void complain(PrintWriter err, String message) {
        err.println("engine: " + message);
    }
}
