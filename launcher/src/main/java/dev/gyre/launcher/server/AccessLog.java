package dev.gyre.launcher.server;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.PrintWriter;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;

/** A line of JSON for every request: what it was, how it ended, how long it took; never what it said. */
final class AccessLog {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private final PrintWriter out;

    /** @param out null for no log */
    AccessLog(PrintWriter out) {
        this.out = out;
    }

    void write(Call call, String remote, double seconds) {
        if (out == null) {
            return;
        }
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("time", Instant.now().toString());
        line.put("remote", remote);
        line.put("method", call.method());
        line.put("path", call.path());
        line.put("status", call.status());
        line.put("seconds", Math.round(seconds * 1e6) / 1e6);
        line.putAll(call.notes());
        try {
            out.println(MAPPER.writeValueAsString(line));
            out.flush();
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }
}
