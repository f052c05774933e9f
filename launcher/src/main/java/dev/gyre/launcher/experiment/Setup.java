package dev.gyre.launcher.experiment;

import dev.gyre.attention.backend.Phase;
import dev.gyre.model.Model;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * All that the results of an experiment depend on: what differs in one of these is another experiment. Threads, chunks
 * and buffers are not among them, since they change no result.
 *
 * @param version of the program
 * @param digests SHA-256 of the tokens of each text
 * @param model where it came from, the same from whatever folder one starts
 * @param modelFiles SHA-256 of its config.json and weights, by file: a folder may hold another model the next time
 * @param parameters of the model
 * @param configOverride null for none
 * @param loadFormat where the weights came from
 * @param layers those of the model that ran; null for all
 * @param implementations by phase
 */
record Setup(
        String version,
        Sweep sweep,
        List<String> digests,
        String model,
        Map<String, String> modelFiles,
        long parameters,
        String kvCacheDtype,
        String configOverride,
        String loadFormat,
        String layers,
        Map<String, String> implementations) {

    static Setup of(String version, Sweep sweep, List<int[]> texts, Model model) {
        Map<String, String> implementations = new TreeMap<>();
        for (Map.Entry<Phase, String> entry : model.implementations().entrySet()) {
            implementations.put(entry.getKey().name().toLowerCase(Locale.ROOT), entry.getValue());
        }
        return new Setup(
                version,
                sweep,
                texts.stream().map(Setup::digest).toList(),
                model.options().model() == null
                        ? model.where()
                        : model.options().model().toAbsolutePath().normalize().toString(),
                model.digests(),
                model.parameters(),
                model.cacheDtype().label(),
                model.options().configOverride(),
                model.options().loadFormat().name().toLowerCase(Locale.ROOT),
                model.options().layers() == null ? null : model.options().layers().toString(),
                implementations);
    }

    private static String digest(int[] tokens) {
        ByteBuffer bytes = ByteBuffer.allocate(Math.multiplyExact(tokens.length, Integer.BYTES));
        bytes.asIntBuffer().put(tokens);
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes.array()));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every JDK has it
        }
    }
}
