package dev.gyre.tornado.decoder;

import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Device;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;
import dev.gyre.model.ModelOptions;
import org.junit.jupiter.api.Assumptions;

import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** What tests of whole models on a device share. */
final class OnDevice {
    /** The first two layers of tiny-v32, one dense, one of experts; the others pass for those of token prediction. */
    static final String TWO_LAYERS = "{\"num_hidden_layers\":2,\"num_nextn_predict_layers\":2}";
    static final Path GOLDEN = Path.of("../model/src/test/resources/golden");

    private OnDevice() {}

    /** Skips the test where TornadoVM sees no device. */
    static void assume() {
        Providers.load().all().stream()
                .filter(provider -> provider.name().equals("tornado"))
                .map(AttentionProvider::missing)
                .forEach(missing -> Assumptions.assumeTrue(missing.isEmpty(), missing.toString()));
    }

    /** Two devices of the first backend; skips the test where there is only one. */
    static List<String> several() {
        List<String> ids = Providers.load().all().stream()
                .flatMap(provider -> provider.devices().stream())
                .map(Device::id)
                .filter(id -> id.startsWith("0:"))
                .limit(2)
                .toList();
        Assumptions.assumeTrue(ids.size() > 1, "the first backend has one device; with PoCL, "
                + "POCL_DEVICES=\"pthread pthread\" makes two of a processor");
        return ids;
    }

    /** The same with one implementation for everything. */
    static ModelOptions on(String name, ModelOptions options) {
        Map<Phase, String> names = new EnumMap<>(Phase.class);
        for (Phase phase : Phase.values()) {
            names.put(phase, name);
        }
        return options.withAttention(null, names).withThreads(1);
    }

    static int[] tokens(int count, int vocabulary, int seed) {
        return new Random(seed).ints(count, 1, vocabulary).toArray();
    }
}
