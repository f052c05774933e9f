package dev.gyre.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Expected results and model folders on the test class path. */
public final class Cases {
    private Cases() {}

    /** A JSON resource. */
    public static JsonNode json(String resource) {
        try (InputStream in = Cases.class.getResourceAsStream(resource)) {
            return new ObjectMapper().readTree(in);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A resource folder, as a path. */
    public static Path folder(String resource) {
        try {
            return Path.of(Cases.class.getResource(resource).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The cases of an expected.json. */
    public static List<JsonNode> cases(String resource) {
        List<JsonNode> cases = new ArrayList<>();
        json(resource).get("cases").forEach(cases::add);
        return cases;
    }

    /** An array of ints. */
    public static int[] ints(JsonNode node) {
        int[] values = new int[node.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = node.get(i).intValue();
        }
        return values;
    }

    /** An array of numbers. */
    public static double[] doubles(JsonNode node) {
        double[] values = new double[node.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = node.get(i).doubleValue();
        }
        return values;
    }
}
