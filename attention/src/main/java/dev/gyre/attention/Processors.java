package dev.gyre.attention;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/** How many threads are worth having. */
public final class Processors {
    private static final Path CPUS = Path.of("/sys/devices/system/cpu");

    private Processors() {}

    /**
     * Physical cores that this process may use: two hardware threads of a core share its vector units, so a second
     * thread on it adds nothing. Where the system does not say (it is Linux's), all processors.
     */
    public static int physicalCores() {
        int available = Runtime.getRuntime().availableProcessors();
        Set<String> cores = new HashSet<>();
        try (DirectoryStream<Path> processors = Files.newDirectoryStream(CPUS, "cpu[0-9]*")) {
            for (Path processor : processors) {
                Path siblings = processor.resolve("topology/thread_siblings_list");
                if (Files.isReadable(siblings)) {
                    cores.add(Files.readString(siblings).strip());
                }
            }
        } catch (IOException e) {
            return available;
        }
        return cores.isEmpty() ? available : Math.min(available, cores.size());
    }
}
