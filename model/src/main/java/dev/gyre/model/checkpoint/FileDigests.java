package dev.gyre.model.checkpoint;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * What tells one model's files from another's: SHA-256 of config.json and of each file of weights. Of a file of more
 * than {@value #WHOLE} bytes only the safetensors header is read, and its size and the time of its last change stand
 * for the data, since reading hundreds of gigabytes would take longer than what one wants to know it for.
 */
final class FileDigests {
    /** Files up to this size are read whole, in a fraction of a second. */
    private static final int WHOLE = 1 << 28;

    private FileDigests() {}

    /** The digests in hexadecimal, by file; of those that are there, as random weights and some layers need not all. */
    static Map<String, String> of(ModelFiles files) {
        Map<String, String> digests = new TreeMap<>();
        digests.put("config.json", hex(sha256().digest(files.read("config.json"))));
        for (String file : Checkpoint.isIn(files) ? Checkpoint.files(files) : Set.<String>of()) {
            if (files.has(file)) {
                digests.put(file, weights(files, file, WHOLE));
            }
        }
        return digests;
    }

    /** @param whole the most bytes of a file that is read to its end */
    static String weights(ModelFiles files, String file, long whole) {
        MessageDigest digest = sha256();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = files.map(file, arena);
            if (bytes.byteSize() <= whole) {
                digest.update(bytes.asByteBuffer());
            } else {
                long header = bytes.get(ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0);
                digest.update(bytes.asSlice(0, 8 + header).asByteBuffer());
                digest.update((bytes.byteSize() + " " + files.modified(file)).getBytes(StandardCharsets.US_ASCII));
            }
        }
        return hex(digest.digest());
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every JDK has it
        }
    }

    private static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }
}
