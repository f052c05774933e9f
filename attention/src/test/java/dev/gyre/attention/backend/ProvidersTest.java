package dev.gyre.attention.backend;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.LatentAttention;
import dev.gyre.attention.TopK;
import dev.gyre.attention.WorkerPool;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

class ProvidersTest {
    /**
     * Serves attention, and what multiplies with weights only if it runs decoders.
     *
     * @param reason why it is missing; null where it is available
     */
    private record Gpu(int preference, String reason, boolean runsDecoder, List<Device> devices) implements AttentionProvider {
        Gpu(int preference, String reason, List<Device> devices) {
            this(preference, reason, false, devices);
        }

        @Override
        public String name() {
            return "gpu";
        }

        @Override
        public Optional<String> missing() {
            return Optional.ofNullable(reason);
        }

        @Override
        public boolean serves(Phase phase) {
            return runsDecoder || phase != Phase.LINEAR;
        }

        @Override
        public IndexScorer indexScorer(Resources resources) {
            return null;
        }

        @Override
        public TopK topK(Resources resources) {
            return null;
        }

        @Override
        public LatentAttention latentAttention(Resources resources) {
            return null;
        }
    }

    private static final Device CARD = new Device("0:1", "a card", "GPU", 1L << 34, "OpenCL");

    /** The implementations of this build without {@code tornado}, whose preference is the machine's affair. */
    private static Providers with(Gpu gpu) {
        List<AttentionProvider> cpu = Providers.load().all().stream()
                .filter(provider -> !provider.name().equals(Providers.TORNADO))
                .toList();
        return new Providers(Stream.concat(cpu.stream(), Stream.of(gpu)).toList());
    }

    private static EngineException usage(Providers providers, Map<Phase, String> choice, String... devices) {
        try (WorkerPool pool = new WorkerPool(1)) {
            EngineException mistake = assertThrows(
                    EngineException.class,
                    () -> Implementations.choose(providers, choice, new Resources(pool, List.of(devices))));
            assertTrue(mistake.isUsage());
            return mistake;
        }
    }

    @Test
    void autoTakesTheBestThatServesThePhase() {
        Providers providers = with(new Gpu(100, null, List.of(CARD)));
        assertEquals("gpu", providers.all().getFirst().name());
        assertEquals("gpu", providers.choose(Phase.TOPK, Providers.AUTO).name());
        assertEquals(Providers.VECTOR, providers.choose(Phase.LINEAR, Providers.AUTO).name());
    }

    @Test
    void autoNeverTakesANegativePreferenceNorMissesIt() {
        for (String reason : new String[] {null, "it is not there"}) {
            Providers providers = with(new Gpu(-1, reason, List.of()));
            assertEquals(Providers.VECTOR, providers.choose(Phase.TOPK, Providers.AUTO).name());
            assertEquals(Optional.empty(), providers.notice(Phase.TOPK));
        }
        assertEquals("gpu", with(new Gpu(-1, null, List.of())).choose(Phase.TOPK, "gpu").name());
    }

    @Test
    void theNoticeSpeaksOfWhatThePhaseWouldHaveTaken() {
        Providers providers = with(new Gpu(100, "it is not there", List.of()));
        assertTrue(providers.notice(Phase.DECODE).orElseThrow().contains("gpu, the fastest, is not available"));
        assertEquals(Optional.empty(), providers.notice(Phase.LINEAR));
    }

    @Test
    void aPhaseThatANamedOneDoesNotServe() {
        Providers providers = with(new Gpu(100, null, List.of(CARD)));
        String message = usage(providers, Map.of(Phase.LINEAR, "gpu")).getMessage();
        assertEquals("--linear-backend gpu does not exist; use one of auto, vector, reference.", message);
    }

    @Test
    void tornadoWhereItWasNotBuilt() {
        Providers providers = with(new Gpu(-1, null, List.of()));
        String message = usage(providers, Map.of(Phase.TOPK, Providers.TORNADO)).getMessage();
        assertTrue(message.contains("--dsa-topk-backend tornado") && message.contains("TORNADOVM_HOME"), message);
        assertTrue(message.endsWith("or use one of auto, vector, reference, gpu."), message);
        String linear = usage(providers, Map.of(Phase.LINEAR, Providers.TORNADO)).getMessage();
        assertTrue(linear.contains("TORNADOVM_HOME"), linear);
    }

    @Test
    void aDeviceIsForThoseThatHaveSome() {
        Providers providers = with(new Gpu(-1, null, List.of(CARD)));
        String none = usage(providers, Map.of(), "0:1").getMessage();
        assertTrue(none.startsWith("--device 0:1 needs an implementation that runs on devices"), none);
        String other = usage(providers, Map.of(Phase.TOPK, "gpu"), "0:0").getMessage();
        assertTrue(other.startsWith("--device 0:0 is not there; use one of 0:1"), other);
        try (WorkerPool pool = new WorkerPool(1)) {
            Map<Phase, String> choice = Map.of(Phase.TOPK, "gpu", Phase.DECODE, "gpu");
            Implementations chosen = Implementations.choose(providers, choice, new Resources(pool, List.of("0:1")));
            assertEquals("gpu", chosen.names().get(Phase.DECODE));
        }
    }

    @Test
    void severalDevicesShareADecoder() {
        Device first = new Device("0:0", "a card", "GPU", 1L << 34, "CUDA");
        Providers providers = with(new Gpu(-1, null, true, List.of(first, CARD)));
        assertEquals("--devices 0:2 is not there; use one of 0:0, 0:1, which 'engine devices' describes.",
                usage(providers, Map.of(), "0:0", "0:2").getMessage());
        for (String again : List.of("0:0", "0", "cuda")) {
            assertEquals("--devices names the device 0:0 twice; it takes one part of the layers.",
                    usage(providers, Map.of(), "0:0", "1", again).getMessage());
        }
        String mixed = usage(providers, Map.of(Phase.TOPK, "gpu"), "0:0", "0:1").getMessage();
        assertTrue(mixed.startsWith("--devices shares out the layers of a model that runs on devices as a whole"), mixed);
        try (WorkerPool pool = new WorkerPool(1)) {
            Implementations chosen =
                    Implementations.choose(providers, Map.of(), new Resources(pool, List.of("cuda", "1")));
            assertEquals("gpu", chosen.names().get(Phase.LINEAR));
        }
    }
}
