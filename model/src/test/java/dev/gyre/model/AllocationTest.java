package dev.gyre.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.Sampler;
import dev.gyre.model.generate.Sequence;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadInfo;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What a decode step of the embedded model leaves to the garbage collector, over all of the engine's threads.
 *
 * <p>Measured in a JVM of its own, as a user's engine is: vectors that the compiler cannot keep in registers are boxed,
 * and which ones it keeps depends on what the JVM ran before (after the other tests it is ten times as much).
 */
class AllocationTest {
    private static final int DEPTH = 1024;
    private static final int WARM_UP = 300;
    private static final int STEPS = 50;
    private static final int ROUNDS = 3;
    /**
     * Measured: 132 bytes, the measurement itself. Where C2 compiled a loop before it knew enough, that loop boxes until
     * the JVM ends: 40 to 330 KB in some JVMs, so the best of a few counts. All loops would be 1 MB, in every JVM.
     */
    private static final long MOST_BYTES = 200_000;
    private static final int JVMS = 8;

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void decodeStepsAllocateLittle(int threads) throws IOException, InterruptedException {
        long bytes = Long.MAX_VALUE;
        for (int jvm = 0; jvm < JVMS && bytes >= MOST_BYTES; jvm++) {
            bytes = Math.min(bytes, bytesOfAStep(threads));
        }
        long least = bytes;
        assertTrue(least < MOST_BYTES, () -> least + " bytes a step in the best of " + JVMS + " JVMs");
    }

    private static long bytesOfAStep(int threads) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-Xmx1g",
                        "-cp", System.getProperty("java.class.path"),
                        Measurement.class.getName(), Integer.toString(threads))
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        String[] words = output.strip().split("\\s+");
        assertEquals(threads, Integer.parseInt(words[words.length - 2]), "threads that were looked at");
        return Long.parseLong(words[words.length - 1]);
    }

    /** The program in that JVM: prints how many threads it looked at and the bytes of a step. */
    static final class Measurement {
        private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

        private Measurement() {}

        public static void main(String[] args) {
            ModelOptions options = ModelOptions.defaults().withThreads(Integer.parseInt(args[0]));
            try (Model model = Model.open(options);
                    ModelRunner runner = model.runner(1, DEPTH + WARM_UP + ROUNDS * STEPS)) {
                Sequence sequence = runner.start();
                runner.fill(sequence, DEPTH, 1);
                int vocabulary = model.config().vocabulary();
                int[][] next = {{1}};
                List<Sequence> sequences = List.of(sequence);
                ModelRunner.Sink sink = (s, position, logits, at) -> next[0][0] = Sampler.greedy(logits, at, vocabulary);
                run(runner, sequences, next, sink, WARM_UP);
                long[] ids = engineThreads();
                long least = Long.MAX_VALUE;
                for (int round = 0; round < ROUNDS; round++) {
                    long before = Arrays.stream(THREADS.getThreadAllocatedBytes(ids)).sum();
                    run(runner, sequences, next, sink, STEPS);
                    long after = Arrays.stream(THREADS.getThreadAllocatedBytes(ids)).sum();
                    least = Math.min(least, (after - before) / STEPS);
                }
                System.out.println(ids.length + " " + least);
            }
        }

        private static void run(
                ModelRunner runner, List<Sequence> sequences, int[][] next, ModelRunner.Sink sink, int steps) {
            for (int i = 0; i < steps; i++) {
                runner.run(sequences, next, ModelRunner.Wanted.LAST, sink);
            }
        }

        private static long[] engineThreads() {
            List<Long> ids = new ArrayList<>(List.of(Thread.currentThread().threadId()));
            for (ThreadInfo info : THREADS.getThreadInfo(THREADS.getAllThreadIds())) {
                if (info != null && info.getThreadName().startsWith("gyre-worker-")) {
                    ids.add(info.getThreadId());
                }
            }
            return ids.stream().mapToLong(id -> id).toArray();
        }
    }
}
