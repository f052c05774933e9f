package dev.gyre.launcher;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import picocli.CommandLine.Option;

import java.io.PrintWriter;

/** {@code --json}: the answer as one line of JSON on stdout. */
final class JsonFlag {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    @Option(names = "--json", description = "print the answer as JSON")
    private boolean json;

    /** Whether JSON was asked for. */
    boolean wanted() {
        return json;
    }

    /** Prints a map, list or record. */
    static void print(PrintWriter out, Object answer) {
        try {
            out.println(MAPPER.writeValueAsString(answer));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }
}
