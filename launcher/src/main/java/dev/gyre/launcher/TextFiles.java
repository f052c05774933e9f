package dev.gyre.launcher;

import dev.gyre.attention.EngineException;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Text that an option names. */
final class TextFiles {
    private TextFiles() {}

    /** A UTF-8 file, whole. */
    static String read(Path file, String option) {
        try {
            return utf8(Files.readAllBytes(file), file.toString());
        } catch (NoSuchFileException e) {
            throw new EngineException(option + ": there is no file " + file + ".", e);
        } catch (IOException e) {
            throw new EngineException(option + ": cannot read " + file + ": " + e.getMessage() + ".", e);
        }
    }

    /** All of stdin. */
    static String stdin() {
        try {
            return utf8(System.in.readAllBytes(), "stdin");
        } catch (IOException e) {
            throw new EngineException("cannot read stdin: " + e.getMessage() + ".", e);
        }
    }

    private static String utf8(byte[] bytes, String where) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            throw new EngineException(where + " is not UTF-8 text.", e);
        }
    }
}
