package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;

/** The built program with TornadoVM, both ways of starting it; only where TORNADOVM_HOME is set. */
class TornadoIT {
    private static final String SDK = System.getenv("TORNADOVM_HOME");
    private static final String[] GENERATE = {
        "generate", "--prompt", "The people of", "--max-new-tokens", "3", "--index-topk", "2", "--json"
    };
    private static final String[] ON_TORNADO = {
        "--dsa-prefill-backend", "tornado", "--dsa-decode-backend", "tornado", "--dsa-indexer-backend", "tornado",
        "--dsa-topk-backend", "tornado"
    };

    @BeforeAll
    static void needsTheSdk() {
        assumeTrue(SDK != null && !SDK.isEmpty(), "TORNADOVM_HOME is not set");
    }

    private static Outcome run(List<String> command) {
        Map<String, String> environment = new HashMap<>(System.getenv());
        environment.keySet().removeIf(name -> name.startsWith("GYRE_"));
        environment.put("JAVA_HOME", System.getProperty("java.home"));
        // as the script does: PoCL's LLVM replaces the JVM's signal handlers
        environment.put("LD_PRELOAD", System.getProperty("java.home") + "/lib/libjsig.so");
        return Outcome.process(environment, command);
    }

    private static Outcome script(String... args) {
        String script = Outcome.root().resolve("engine").toString();
        return run(Stream.concat(Stream.of(script), Stream.of(args)).toList());
    }

    /** @param params one string, which a shell takes apart */
    private static Outcome launcher(String params) {
        String jar = System.getProperty("gyre.engine.jar");
        return run(List.of(SDK + "/bin/tornado", "-jar", jar, "--params", params));
    }

    private static void checkDevices(JsonNode answer) {
        JsonNode implementations = answer.get("implementations");
        int tornado = implementations.findValuesAsText("name").indexOf("tornado");
        assertEquals("available", implementations.get(tornado).get("status").textValue());
        JsonNode devices = answer.get("devices");
        assertFalse(devices.isEmpty());
        for (JsonNode device : devices) {
            assertEquals("tornado", device.get("implementation").textValue());
            assertTrue(device.get("id").textValue().matches("\\d+:\\d+"), device.toString());
            assertTrue(device.get("memory_bytes").longValue() > 0, device.toString());
        }
    }

    @Test
    void devicesOfTheScript() {
        checkDevices(script("devices", "--json").json());
    }

    @Test
    void devicesOfTornadosLauncher() {
        checkDevices(launcher("devices --json").json());
    }

    /** The same tokens as in plain Java, on a device that is named, from a prompt with blanks. */
    @Test
    void generatesOnTheDevice() {
        JsonNode expected = Outcome.of(Outcome.join(GENERATE, "--dsa-decode-backend", "reference")).json();
        String[] args = Outcome.join(Outcome.join(GENERATE, ON_TORNADO), "--device", "0:0");
        assertEquals(expected.get("output_ids"), script(args).json().get("output_ids"));
        String line = String.join(" ", args).replace("The people of", "'The people of'");
        assertEquals(expected.get("text"), launcher(line).json().get("text"));
    }

    @Test
    void aDeviceThatIsNotThere() {
        Outcome outcome = script("generate", "--tokens", "5", "--dsa-topk-backend", "tornado", "--device", "7:7");
        assertEquals(2, outcome.code(), outcome.err());
        assertTrue(outcome.err().contains("engine: --device 7:7 is not there; use one of 0:0"), outcome.err());
    }

    /** TornadoVM's own flags would make modules of the jars in the folder, which not every jar can be. */
    @Test
    void startsInAFolderOfJars(@TempDir Path folder) throws IOException {
        try (JarOutputStream jar = new JarOutputStream(Files.newOutputStream(folder.resolve("any.jar")))) {
            jar.putNextEntry(new JarEntry("Unnamed.class"));
        }
        String command = "cd '" + folder + "' && exec '" + Outcome.root().resolve("engine") + "' --version";
        run(List.of("bash", "-c", command)).succeeded();
    }
}
