package dev.gyre.benchmarks;

import dev.gyre.attention.simd.Lanes;
import dev.gyre.launcher.Machine;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** What a result was measured on. */
final class Environment {
    private Environment() {}

    /** Machine, JDK and commit as a Markdown list. */
    static String describe() {
        StringBuilder text = new StringBuilder();
        for (Map.Entry<String, Object> entry : Machine.describe().entrySet()) {
            text.append("- ").append(entry.getKey()).append(": ").append(entry.getValue()).append('\n');
        }
        text.append("- vectors: ").append(Lanes.COUNT).append(" floats, ").append(Inputs.threads()).append(" threads\n");
        return text.append("- commit: ").append(commit()).append('\n').toString();
    }

    private static String commit() {
        try {
            Process git = new ProcessBuilder("git", "describe", "--always", "--dirty").start();
            return new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        } catch (IOException e) {
            return "unknown (no git)";
        }
    }
}
