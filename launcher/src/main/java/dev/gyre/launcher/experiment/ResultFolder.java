package dev.gyre.launcher.experiment;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.attention.EngineException;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
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
public final class ResultFolder {
    private static final String SWEEP = "sweep.json";
    private static final String CELLS = "cells";
    /** Ends the name of a file that is being written. */
    private static final String UNFINISHED = ".tmp";

    private final Path folder;

    private ResultFolder(Path folder) {
        this.folder = folder;
    }

    /** The folder of an experiment, new or begun; a begun one must be of the same experiment. */
    static ResultFolder open(Path folder, Setup setup) {
        ResultFolder results = new ResultFolder(folder);
        Path sweep = folder.resolve(SWEEP);
        String expected = ExperimentJson.write(setup);
        try {
            if (Files.exists(sweep)) {
                results.compare(Files.readAllBytes(sweep), expected);
            } else if (isUsed(folder)) {
                throw new EngineException(folder + " is not empty and holds no experiment; give another --out.");
            } else {
                Files.createDirectories(folder);
                results.write(SWEEP, expected.getBytes(StandardCharsets.UTF_8));
            }
            Files.createDirectories(folder.resolve(CELLS));
        } catch (IOException e) {
            throw new EngineException("cannot write into " + folder + ": " + why(e) + ".", e);
        }
        return results;
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
                if (!name.endsWith(UNFINISHED) && !(name.equals(CELLS) && !isUsed(file))) {
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

    /** Where it is. */
    public Path path() {
        return folder;
    }
}
