package dev.gyre.model;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import org.junit.jupiter.api.function.Executable;

/** What a failure must look like. */
public final class Failures {
    private Failures() {}

    /** Asserts that {@code action} fails with one sentence that has all of these parts in it. */
    public static void assertSays(Executable action, String... parts) {
        String message = assertThrows(EngineException.class, action).getMessage();
        for (String part : parts) {
            assertTrue(message.contains(part), () -> "\"" + message + "\" should say \"" + part + "\"");
        }
        assertFalse(message.contains("\n"), message);
        assertTrue(message.endsWith("."), message);
    }
}
