package dev.gyre.launcher.experiment;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.attention.EngineException;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The folder of an experiment: {@code sweep.json} says which, {@code cells/} has a file for each cell that was
 * measured, and the report comes beside them. Every file is whole or not there, whenever the program ends: it is
 * written under another name, forced to the disk, and renamed.
 */
public final class ResultFolder implements AutoCloseable {
    private static final String SWEEP = "sweep.json";
    private static final String CELLS = "cells";
    private static final String LOCK = ".lock";
    /** Ends the name of a file that is being written. */
    private static final String UNFINISHED = ".tmp";

    private final Path folder;
    /** Holds the lock while it is open. */
    private final FileChannel lock;

    private ResultFolder(Path folder, FileChannel lock) {
        this.folder = folder;
        this.lock = lock;
    }

    /**
     * The folder of an experiment, new or begun; a begun one must be of the same experiment. Until it is closed, no
     * other process can open it.
     */
    static ResultFolder open(Path folder, Setup setup) {
        try {
            if (!Files.exists(folder.resolve(SWEEP)) && isUsed(folder)) {
                throw new EngineException(folder + " is not empty and holds no experiment; give another --out.");
            }
            Files.createDirectories(folder);
            ResultFolder results = new ResultFolder(folder, lock(folder));
            try {
                results.begin(ExperimentJson.write(setup));
            } catch (RuntimeException | IOException e) {
                results.close();
                throw e;
            }
            return results;
        } catch (IOException e) {
            throw new EngineException("cannot write into " + folder + ": " + why(e) + ".", e);
        }
    }

    private static FileChannel lock(Path folder) throws IOException {
        FileChannel channel =
                FileChannel.open(folder.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            if (channel.tryLock() != null) {
                return channel;
            }
        } catch (OverlappingFileLockException e) {
            // this process has it
        } catch (IOException e) {
            channel.close();
            throw e;
        }
        channel.close();
        throw new EngineException(
                folder + " is in use: another experiment writes there; wait until it ends, or give another --out.");
    }

    private void begin(String setup) throws IOException {
        Path sweep = folder.resolve(SWEEP);
        if (Files.exists(sweep)) {
            compare(Files.readAllBytes(sweep), setup);
        } else {
            write(SWEEP, setup.getBytes(StandardCharsets.UTF_8));
        }
        Files.createDirectories(folder.resolve(CELLS));
    }

    /** The reason without the path; where the JDK gives none, its class says it: AccessDenied. */
    private static String why(IOException e) {
        return e instanceof FileSystemException file && file.getReason() != null
                ? file.getReason()
                : e.getClass().getSimpleName().replace("Exception", "");
    }

    /** Whether there is more than a crash may leave of an experiment that was about to begin. */
    private static boolean isUsed(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return false;
        }
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                String name = file.getFileName().toString();
                if (!name.endsWith(UNFINISHED) && !name.equals(LOCK) && !(name.equals(CELLS) && !isUsed(file))) {
                    return true;
                }
            }
        }
        return false;
    }

    private void compare(byte[] found, String expected) throws IOException {
        JsonNode before;
        try {
            before = ExperimentJson.MAPPER.readTree(found);
        } catch (IOException e) { // of the bytes, which are here
            throw new EngineException(folder.resolve(SWEEP) + " is not an experiment's; give another --out.", e);
        }
        if (!before.isObject()) {
            throw new EngineException(folder.resolve(SWEEP) + " is not an experiment's; give another --out.");
        }
        difference(before, ExperimentJson.MAPPER.readTree(expected), "").ifPresent(what -> {
            throw new EngineException(folder + " holds another experiment: " + what
                    + "; give another --out, or delete this one.");
        });
    }

    /** The first field that differs, down to the values. */
    private static Optional<String> difference(JsonNode before, JsonNode now, String name) {
        if (before.equals(now)) {
            return Optional.empty();
        }
        if (!before.isObject() || !now.isObject()) {
            return Optional.of(name + " was " + (before.isMissingNode() ? "not said" : before) + " and is " + now);
        }
        for (Map.Entry<String, JsonNode> field : now.properties()) {
            String inner = name.isEmpty() ? field.getKey() : name + " " + field.getKey();
            Optional<String> difference = difference(before.path(field.getKey()), field.getValue(), inner);
            if (difference.isPresent()) {
                return difference;
            }
        }
        return Optional.of("its sweep.json has fields that are not known");
    }

    private static String name(int number) {
        return String.format(Locale.ROOT, CELLS + "/%05d.json", number);
    }

    /**
     * What was measured at a cell; empty where nothing was, or where its file cannot be read: a disk's fault, not ours,
     * and it is measured again.
     */
    Optional<CellResult> find(int number, Cell cell) {
        try {
            return Optional.of(CellResult.parse(Files.readAllBytes(folder.resolve(name(number)))))
                    .filter(result -> cell.equals(result.cell()));
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** Keeps what was measured at a cell. */
    void keep(int number, CellResult result) {
        write(name(number), result.json().getBytes(StandardCharsets.UTF_8));
    }

    /** A file of the folder, whole or not at all. */
    void write(String name, byte[] content) {
        Path file = folder.resolve(name);
        Path unfinished = folder.resolve(name + UNFINISHED);
        try {
            try (FileChannel channel = FileChannel.open(unfinished, StandardOpenOption.CREATE,
                    StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
                ByteBuffer bytes = ByteBuffer.wrap(content);
                while (bytes.hasRemaining()) {
                    channel.write(bytes);
                }
                channel.force(true);
            }
            Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new EngineException("cannot write " + file + ": " + why(e) + ".", e);
        }
    }

    /** Lets other processes open it. */
    @Override
    public void close() {
        try {
            lock.close();
        } catch (IOException e) {
            throw new EngineException("cannot unlock " + folder + ": " + why(e) + ".", e);
        }
    }

    /** Where it is. */
    public Path path() {
        return folder;
    }
}
