package dev.gyre.model.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.gyre.model.TensorFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Map;
import java.util.Set;

/** What tells one model's files from another's. */
class FileDigestsTest {
    private static final String SINGLE = "model.safetensors";

    @TempDir
    private Path folder;

    private void write(float value, int size) throws IOException {
        float[] values = new float[size];
        values[size - 1] = value;
        Files.write(folder.resolve(SINGLE), new TensorFile().addFloats("a", values, size).bytes());
        Files.setLastModifiedTime(folder.resolve(SINGLE), FileTime.fromMillis(1000));
    }

    private String digest(long whole) {
        return FileDigests.weights(ModelFiles.folder(folder), SINGLE, whole);
    }

    /** The embedded model is the one of the repository. */
    @Test
    void whereAModelLiesDoesNotMatter() {
        Map<String, String> embedded = ModelFiles.embedded().digests();
        assertEquals(ModelFiles.folder(Path.of("../models/tiny-v32")).digests(), embedded);
        assertEquals(Set.of("config.json", SINGLE), embedded.keySet());
    }

    @Test
    void everyByteOfASmallFile() throws IOException {
        write(1, 5);
        String one = digest(1 << 20);
        assertEquals(one, digest(1 << 20));
        Files.setLastModifiedTime(folder.resolve(SINGLE), FileTime.fromMillis(2000));
        assertEquals(one, digest(1 << 20));
        write(2, 5);
        assertNotEquals(one, digest(1 << 20));
    }

    @Test
    void headerSizeAndTimeOfALargeFile() throws IOException {
        write(1, 5);
        String one = digest(8);
        write(2, 5);
        assertEquals(one, digest(8)); // its data is not read
        Files.setLastModifiedTime(folder.resolve(SINGLE), FileTime.fromMillis(2000));
        assertNotEquals(one, digest(8));
        write(1, 6);
        assertNotEquals(one, digest(8));
    }

    @Test
    void everyShard() {
        Path shards = Path.of("src/test/resources/golden/v32-sharded");
        assertEquals(
                Set.of("config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
                ModelFiles.folder(shards).digests().keySet());
    }
}
