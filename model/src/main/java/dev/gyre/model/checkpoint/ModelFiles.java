package dev.gyre.model.checkpoint;

import dev.gyre.attention.EngineException;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;

/** Where a model's files are: a folder, or the class path for the embedded default model. */
public sealed interface ModelFiles {
    /** The default model that the jar carries. */
    String EMBEDDED = "tiny-v32";

    /** What to call the place in messages. */
    String where();

    /** Whether there is a file of that name. */
    boolean has(String file);

    /** A small file, whole. */
    byte[] read(String file);

    /** A file as memory that lives as long as {@code arena}: mapped where it is on a disk. */
    MemorySegment map(String file, Arena arena);

    /** When a file was last changed, in milliseconds since 1970; 0 where that is not known. */
    long modified(String file);

    /** SHA-256 of config.json and of the weights' files, by name, to tell this model from others. */
    default Map<String, String> digests() {
        return FileDigests.of(this);
    }

    /** A model in a folder. */
    static ModelFiles folder(Path folder) {
        if (!Files.isDirectory(folder)) {
            throw new EngineException(
                    "there is no model folder " + folder + "; --model takes a folder with config.json and weights.");
        }
        return new Folder(folder);
    }

    /** The default model. */
    static ModelFiles embedded() {
        return new Embedded();
    }

    /** A folder on a disk. */
    record Folder(Path folder) implements ModelFiles {
        /** Config, tokenizer and index files are read whole; nothing honest among them is larger. */
        private static final long LARGEST_READ = 1L << 29;

        @Override
        public String where() {
            return folder.toString();
        }

        @Override
        public boolean has(String file) {
            try {
                return Files.isRegularFile(folder.resolve(file));
            } catch (InvalidPathException e) {
                return false; // a name from an index file that no file can have
            }
        }

        @Override
        public byte[] read(String file) {
            if (!has(file)) {
                throw missing(file);
            }
            Path path = folder.resolve(file);
            try {
                if (Files.size(path) > LARGEST_READ) {
                    throw new EngineException(
                            path + " is larger than " + LARGEST_READ + " bytes; it cannot be a " + file + ".");
                }
                return Files.readAllBytes(path);
            } catch (IOException e) {
                throw unreadable(path, e);
            }
        }

        @Override
        public MemorySegment map(String file, Arena arena) {
            if (!has(file)) {
                throw missing(file);
            }
            Path path = folder.resolve(file);
            try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
                return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
            } catch (IOException e) {
                throw unreadable(path, e);
            }
        }

        @Override
        public long modified(String file) {
            Path path = folder.resolve(file);
            try {
                return Files.getLastModifiedTime(path).toMillis();
            } catch (IOException e) {
                throw unreadable(path, e);
            }
        }

        private EngineException missing(String file) {
            return new EngineException("the model folder " + folder + " has no " + file + ".");
        }

        private static EngineException unreadable(Path path, IOException e) {
            return new EngineException("cannot read " + path + ": " + e + ".", e);
        }
    }

    /** Resources on the class path. */
    record Embedded() implements ModelFiles {
        private static final String ROOT = "/models/" + EMBEDDED + "/";

        @Override
        public String where() {
            return "the embedded model " + EMBEDDED;
        }

        @Override
        public boolean has(String file) {
            return ModelFiles.class.getResource(ROOT + file) != null;
        }

        @Override
        public byte[] read(String file) {
            try (InputStream in = ModelFiles.class.getResourceAsStream(ROOT + file)) {
                if (in == null) {
                    throw new EngineException(where() + " has no " + file + "; rebuild engine.jar.");
                }
                return in.readAllBytes();
            } catch (IOException e) {
                throw new EngineException("cannot read " + file + " of " + where() + ": " + e + ".", e);
            }
        }

        @Override
        public MemorySegment map(String file, Arena arena) {
            byte[] bytes = read(file);
            MemorySegment segment = arena.allocate(bytes.length, 64);
            MemorySegment.copy(bytes, 0, segment, ValueLayout.JAVA_BYTE, 0, bytes.length);
            return segment;
        }

        @Override
        public long modified(String file) {
            return 0;
        }
    }
}
