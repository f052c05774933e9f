package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** What a command left behind: its exit code and what it wrote. */
record Outcome(int code, String out, String err) {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    /** Runs a command in this process. */
    static Outcome of(String... args) {
        return with(Map.of(), args);
    }

    /** The same in an environment. */
    static Outcome with(Map<String, String> environment, String... args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int code = Main.run(args, environment, new PrintWriter(out), new PrintWriter(err));
        return new Outcome(code, out.toString(), err.toString());
    }

    /** The same with something to read from stdin. */
    static Outcome reading(String stdin, String... args) {
        InputStream before = System.in;
        System.setIn(new ByteArrayInputStream(stdin.getBytes(StandardCharsets.UTF_8)));
        try {
            return of(args);
        } finally {
            System.setIn(before);
        }
    }

    /** The JSON answer of a command that must succeed; {@code --json} is added. */
    static JsonNode json(String... args) {
        return of(join(args, "--json")).json();
    }

    /** Arguments and more of them. */
    static String[] join(String[] args, String... more) {
        return Stream.of(args, more).flatMap(Arrays::stream).toArray(String[]::new);
    }

    /** Runs a program with exactly this environment. */
    static Outcome process(Map<String, String> environment, List<String> command) {
        try {
            Path out = Files.createTempFile("gyre", ".out");
            Path err = Files.createTempFile("gyre", ".err");
            ProcessBuilder builder = new ProcessBuilder(command)
                    .redirectOutput(out.toFile())
                    .redirectError(err.toFile());
            builder.environment().clear();
            builder.environment().putAll(environment);
            Process process = builder.start();
            process.getOutputStream().close();
            if (!process.waitFor(60, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new AssertionError(command + " still runs after a minute");
            }
            Outcome outcome = new Outcome(process.exitValue(), Files.readString(out), Files.readString(err));
            Files.delete(out);
            Files.delete(err);
            return outcome;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    /** The repository: tests start in the folder of their module. */
    static Path root() {
        Path folder = Path.of("").toAbsolutePath();
        while (!Files.isRegularFile(folder.resolve("engine"))) {
            folder = folder.getParent();
        }
        return folder;
    }

    /** A golden model: tiny, without a tokenizer, of 160 tokens. */
    static Path golden(String model) {
        return root().resolve("model/src/test/resources/golden").resolve(model);
    }

    /** This, after checking that the command succeeded. */
    Outcome succeeded() {
        assertEquals(0, code, err);
        return this;
    }

    /** Stdout as JSON, of a command that must have succeeded and written one line and nothing else. */
    JsonNode json() {
        succeeded();
        assertEquals(1, out.lines().count(), out);
        try {
            return MAPPER.readTree(out);
        } catch (IOException e) {
            throw new AssertionError("not JSON: " + out, e);
        }
    }
}
