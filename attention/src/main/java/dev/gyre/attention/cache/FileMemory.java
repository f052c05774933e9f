package dev.gyre.attention.cache;

import dev.gyre.attention.EngineException;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.UUID;

/** Memory that is a file: larger than the machine's, and as fast as the disk where it is not in the page cache. */
final class FileMemory {
    private FileMemory() {}

    /** Fails where the disk has not that many bytes free: a write to a mapped file that finds no room kills the JVM. */
    static void checkSpace(Path directory, long bytes) {
        if (!Files.isDirectory(directory)) {
            throw EngineException.usage("--hisparse-dir " + directory + " is not a directory; create it first.");
        }
        try {
            long free = Files.getFileStore(directory).getUsableSpace();
            if (bytes > free) {
                throw new EngineException("the latents need " + bytes + " bytes and " + directory + " has " + free
                        + " free; use a shorter --context-length or a smaller --kv-cache-dtype.");
            }
        } catch (IOException e) {
            throw failure(directory, e);
        }
    }

    /** Zeros in a new file, which goes with the mapping, and on most systems has no name before that. */
    static MemorySegment map(Path directory, long bytes, Arena arena) {
        Path file = directory.resolve("gyre-latents-" + UUID.randomUUID());
        try (FileChannel channel = FileChannel.open(
                file,
                StandardOpenOption.CREATE_NEW,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE,
                StandardOpenOption.SPARSE,
                StandardOpenOption.DELETE_ON_CLOSE)) {
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes, arena);
        } catch (IOException e) {
            throw failure(directory, e);
        }
    }

    private static EngineException failure(Path directory, IOException e) {
        return new EngineException("latents cannot be kept in " + directory + ": " + e.getMessage()
                + "; choose another --hisparse-dir.", e);
    }
}
