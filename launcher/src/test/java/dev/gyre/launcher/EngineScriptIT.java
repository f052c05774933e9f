package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The start script, once the jar is there. */
class EngineScriptIT {
    private static final String PATH = System.getenv("PATH");

    @Test
    void startsTheJar() {
        Outcome outcome = Outcome.process(
                Map.of("PATH", PATH, "HOME", "/", "JAVA_HOME", System.getProperty("java.home")),
                List.of(Outcome.root().resolve("engine").toString(), "--version"));
        assertTrue(outcome.succeeded().out().startsWith("gyre " + System.getProperty("gyre.version")), outcome.out());
    }

    /** The JDK found only says how it was started. */
    @Test
    void passesOverAnOldJavaHomeAndPassesTheFlags(@TempDir Path folder) throws IOException {
        String jar = jdkAndJar(folder, "new", "25.0.3");
        Outcome outcome = runWhereNoJdkIs(folder, Map.of(), "generate", "--prompt", "a b");
        assertEquals(
                "--add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED -jar "
                        + jar + " generate --prompt a b",
                outcome.succeeded().out().strip());
    }

    @Test
    void startsThroughTornadoVmsArgfile(@TempDir Path folder) throws IOException {
        jdkAndJar(folder, "a", "26");
        String jar = jdkAndJar(folder, "b", "25.0.3");
        Path sdk = Files.createDirectory(folder.resolve("sdk"));
        Files.createFile(sdk.resolve("tornado-argfile"));
        Outcome outcome = runWhereNoJdkIs(folder, Map.of("TORNADOVM_HOME", sdk.toString()), "devices");
        assertEquals(
                "@" + sdk + "/tornado-argfile --module-path " + sdk + "/share/java/tornado"
                        + " -Dtornado.recover.bailout=False -XX:MaxDirectMemorySize=4096g"
                        + " --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED -jar " + jar
                        + " devices",
                outcome.succeeded().out().strip());
        assertEquals("", outcome.err());
    }

    @Test
    void saysWhereTornadoVmIsNot(@TempDir Path folder) throws IOException {
        jdkAndJar(folder, "new", "26");
        Outcome outcome = runWhereNoJdkIs(folder, Map.of("TORNADOVM_HOME", folder.toString()), "devices");
        assertTrue(outcome.succeeded().out().startsWith("--add-modules jdk.incubator.vector "), outcome.out());
        assertTrue(outcome.err().startsWith("engine: TORNADOVM_HOME=" + folder + " has no tornado-argfile"));
        assertEquals(1, outcome.err().lines().count(), outcome.err());
    }

    @Test
    void saysThatThereIsNoJdk(@TempDir Path folder) throws IOException {
        Outcome outcome = runWhereNoJdkIs(folder, Map.of(), "--version");
        assertEquals(1, outcome.code());
        assertEquals("", outcome.out());
        assertTrue(outcome.err().startsWith("engine: no JDK of version 25 or later"), outcome.err());
        assertEquals(1, outcome.err().lines().count(), outcome.err());
    }

    /** A JDK that says how it was started, and an empty jar; returns the jar. */
    private static String jdkAndJar(Path folder, String name, String version) throws IOException {
        Path home = folder.resolve(".jdks").resolve(name);
        program(home.resolve("bin/java"), "echo \"$@\"");
        Files.writeString(home.resolve("release"), "JAVA_VERSION=\"" + version + "\"\n");
        Path jar = folder.resolve("launcher/target/engine.jar");
        Files.createDirectories(jar.getParent());
        Files.write(jar, new byte[0]);
        return jar.toRealPath().toString();
    }

    /**
     * Runs a copy of the script that looks for the system's JDKs in {@code folder} instead, where none is; nothing else
     * in it differs. JAVA_HOME is a JDK 17, and no java is on the PATH.
     */
    private static Outcome runWhereNoJdkIs(Path folder, Map<String, String> more, String... args) throws IOException {
        String text = Files.readString(Outcome.root().resolve("engine"));
        String elsewhere = text.replaceAll("(?<=\\s)/(usr/lib/jvm|opt|Library)/", folder + "/$1/");
        assertTrue(elsewhere.contains(folder + "/usr/lib/jvm/*") && elsewhere.contains(folder + "/opt/jdk*"));
        Path script = folder.resolve("engine");
        Files.writeString(script, elsewhere);
        Path old = folder.resolve("old");
        program(old.resolve("bin/java"), "echo started the wrong one");
        Files.writeString(old.resolve("release"), "JAVA_VERSION=\"17.0.1\"\n");
        for (String name : List.of("sed", "dirname", "readlink")) {
            program(folder.resolve("bin").resolve(name), "exec " + onPath(name) + " \"$@\"");
        }
        Map<String, String> environment = new HashMap<>(more);
        environment.put("PATH", folder.resolve("bin").toString());
        environment.put("HOME", folder.toString());
        environment.put("JAVA_HOME", old.toString());
        return Outcome.process(
                environment,
                Stream.concat(Stream.of(onPath("bash").toString(), script.toString()), Stream.of(args)).toList());
    }

    private static Path onPath(String program) {
        return Stream.of(PATH.split(":")).map(place -> Path.of(place, program)).filter(Files::isExecutable)
                .findFirst()
                .orElseThrow();
    }

    private static void program(Path file, String command) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, "#!" + onPath("sh") + "\n" + command + "\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    }
}
