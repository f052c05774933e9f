package dev.gyre.tornado.decoder;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.Generator;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.SamplingOptions;
import dev.gyre.model.generate.Sequence;
import dev.gyre.tornado.TornadoDevices;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * A device's memory does not fill up while texts grow, and where it is too small that is said and what was taken is
 * given back. In JVMs of their own: TornadoVM reads once how much memory it may take, and how much it has taken only
 * reflection tells. (What a plan says of it, {@code getCurrentDeviceMemoryUsage}, is what its last run added.)
 */
class DeviceMemoryTest {
    private static final String DRIVERS = "tornado.drivers.";
    private static final String PACKAGES = "uk.ac.manchester.tornado.drivers.";

    @BeforeEach
    void needsADevice() {
        OnDevice.assume();
    }

    /** Runs a program with so much memory of the device; the lines that it said. */
    private static List<String> run(Class<?> program, int megabytes) throws IOException, InterruptedException {
        Path tornado = Path.of(System.getenv("TORNADOVM_HOME"));
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "@" + tornado.resolve("tornado-argfile"),
                "--module-path", tornado.resolve("share/java/tornado").toString(),
                "-Dtornado.recover.bailout=False",
                "-Dtornado.device.memory=" + megabytes + "MB"));
        for (String opened : new String[] {"common", "opencl", "opencl.runtime", "cuda", "cuda.runtime"}) {
            String module = DRIVERS + opened.replace(".runtime", "");
            command.addAll(List.of("--add-opens", module + "/" + PACKAGES + opened + "=ALL-UNNAMED"));
        }
        command.addAll(List.of("-Xmx1g", "-cp", System.getProperty("java.class.path"), program.getName()));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        return output.lines().filter(line -> line.startsWith("said: ")).map(line -> line.substring(6)).toList();
    }

    private static int[] generate(Model model, ModelRunner runner, int count) {
        int[] prompt = OnDevice.tokens(9, model.config().vocabulary(), 1);
        GenerationOptions options = new GenerationOptions(count, SamplingOptions.GREEDY, List.of(), Set.of(), true);
        Sequence sequence = runner.start();
        int[] text = new Generator(model, runner).generate(sequence, prompt, options, piece -> {}).outputIds();
        runner.end(sequence);
        return text;
    }

    @Test
    void aThousandTokensTakeNoMoreThanTen() throws IOException, InterruptedException {
        List<String> said = run(LongText.class, LongText.MEGABYTES);
        assertEquals(3, said.size(), said.toString());
        long few = Long.parseLong(said.get(0));
        // caches in f32, of whole pages: latents and index keys of three layers
        assertTrue(few > 3L * 1216 * (40 + 16) * Float.BYTES, few + " bytes");
        assertEquals(few, Long.parseLong(said.get(1)), "after 1,000 more");
        assertEquals("1010", said.get(2), "tokens in all");
    }

    /** Prints what it has taken of the device after 10 tokens and after 1,000 more. */
    static final class LongText {
        static final int MEGABYTES = 512;

        private LongText() {}

        public static void main(String[] args) throws ReflectiveOperationException {
            ModelOptions options = ModelOptions.defaults()
                    .withModel(OnDevice.GOLDEN.resolve("v32-yarn"))
                    .withConfigOverride("{\"max_position_embeddings\":1200}")
                    .withChunks(4, 1 << 20);
            try (Model model = Model.open(OnDevice.on("tornado", options));
                    ModelRunner runner = model.runner(1, 1200)) {
                int tokens = generate(model, runner, 10).length;
                System.out.println("said: " + taken());
                tokens += generate(model, runner, 1000).length;
                System.out.println("said: " + taken());
                System.out.println("said: " + tokens);
            }
        }

        /** Bytes that TornadoVM has allocated on the device. */
        private static long taken() throws ReflectiveOperationException {
            Object buffers = call(call(TornadoDevices.preferred(), "getDeviceContext"), "getBufferProvider");
            Class<?> provider = Class.forName(PACKAGES + "common.TornadoBufferProvider");
            Field available = provider.getDeclaredField("currentMemoryAvailable");
            available.setAccessible(true);
            return ((long) MEGABYTES << 20) - available.getLong(buffers);
        }

        private static Object call(Object object, String name) throws ReflectiveOperationException {
            Method method = object.getClass().getMethod(name);
            method.setAccessible(true);
            return method.invoke(object);
        }
    }

    /** Caches of the first layer fit, the second's do not; what remained of them would leave the last too little. */
    @Test
    void tooLittleMemoryAndThenEnough() throws IOException, InterruptedException {
        List<String> said = run(SmallDevice.class, 64);
        String answer;
        try (Model model = Model.open(OnDevice.on("vector", SmallDevice.OPTIONS));
                ModelRunner runner = model.runner(1, 64)) {
            answer = Arrays.toString(generate(model, runner, 6));
        }
        assertEquals(5, said.size(), said.toString());
        for (int failure : new int[] {0, 2, 3}) {
            String sentence = said.get(failure);
            assertTrue(sentence.matches("what runs on the device needs \\d{8,9} bytes there: .* has \\d+ bytes, and of "
                    + "the 64MB that TornadoVM may take of them too little is left; set .*-Dtornado.device.memory=.*"),
                    sentence);
        }
        assertEquals(answer, said.get(1));
        assertEquals(answer, said.get(4));
    }

    /** Prints what a model says or why it does not, with caches for texts of several lengths. */
    static final class SmallDevice {
        static final ModelOptions OPTIONS = ModelOptions.defaults()
                .withConfigOverride(OnDevice.TWO_LAYERS).withContextLength(8192).withChunks(4, 1 << 20);

        private SmallDevice() {}

        public static void main(String[] args) {
            for (int tokens : new int[] {4096, 256, 4096, 8192, 2048}) {
                try (Model model = Model.open(OnDevice.on("tornado", OPTIONS));
                        ModelRunner runner = model.runner(4, tokens)) {
                    System.out.println("said: " + Arrays.toString(generate(model, runner, 6)));
                } catch (EngineException e) {
                    System.out.println("said: " + e.getMessage());
                }
            }
        }
    }
}
