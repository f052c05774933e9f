package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** The built jar as users start it: another process, no flags. */
class EngineJarIT {
    private static final String JAR = Objects.requireNonNull(System.getProperty("gyre.engine.jar"), "set by failsafe");

    private static Outcome run(Map<String, String> environment, String... args) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("-jar");
        command.add(JAR);
        command.addAll(List.of(args));
        return Outcome.process(environment, command);
    }

    @Test
    void saysItsVersion() {
        Outcome outcome = run(Map.of(), "--version").succeeded();
        assertTrue(outcome.out().startsWith("gyre " + System.getProperty("gyre.version") + " on "), outcome.out());
        assertEquals("", outcome.err());
    }

    @Test
    void generatesWithoutAnyFlags() {
        Outcome outcome = run(Map.of(), "generate", "--json", "--prompt", "The people", "--max-new-tokens", "4");
        JsonNode answer = outcome.json();
        JsonNode same = Outcome.json("generate", "--prompt", "The people", "--max-new-tokens", "4");
        assertEquals(same.get("output_ids"), answer.get("output_ids"));
        assertEquals(same.get("text"), answer.get("text"));
        // without the flag the Vector API is missing: one sentence says so, and names the flag
        assertEquals(1, outcome.err().lines().count(), outcome.err());
        assertTrue(outcome.err().contains("--add-modules jdk.incubator.vector"), outcome.err());
    }

    @Test
    void readsItsEnvironment() {
        Map<String, String> environment = Map.of("GYRE_KV_CACHE_DTYPE", "bogus");
        assertEquals(2, run(environment, "generate", "--tokens", "5").code());
    }

    /** Programs that read the answer expect UTF-8, also from a container without a locale. */
    @Test
    void writesUtf8WhateverTheLocale() {
        for (String locale : List.of("C", "C.UTF-8")) {
            Outcome outcome = run(Map.of("LC_ALL", locale), "detokenize", "0");
            assertEquals(Outcome.of("detokenize", "0").out(), outcome.succeeded().out(), locale);
        }
    }

    @Test
    void mistakesEndWithTheirCode() {
        check(2, run(Map.of(), "generate", "--tokens", "5", "--top-p", "2"));
        check(1, run(Map.of(), "generate", "--tokens", "5", "--model", "/nowhere"));
    }

    private static void check(int code, Outcome outcome) {
        assertEquals(code, outcome.code(), outcome.err());
        assertEquals("", outcome.out());
        assertTrue(outcome.err().startsWith("engine: "), outcome.err());
        assertFalse(outcome.err().contains("\tat ") || outcome.err().contains("Exception"), outcome.err());
    }
}
