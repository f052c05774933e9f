package dev.gyre.tornado.decoder;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.EngineOptions;
import dev.gyre.model.engine.GenerationRequest;
import dev.gyre.model.engine.StreamEvent;
import dev.gyre.model.engine.TokenStream;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.Sampler;
import dev.gyre.model.generate.SamplingOptions;
import dev.gyre.model.generate.Sequence;
import dev.gyre.model.generate.StepTime;
import dev.gyre.model.generate.Throughput;
import dev.gyre.model.ops.Candidates;
import dev.gyre.model.ops.DeviceMeter;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** What engines say whose decoder is on a device: many requests that want different things, and several engines. */
class EnginesTest {
    private static final List<SamplingOptions> WISHES = List.of(
            SamplingOptions.GREEDY,
            new SamplingOptions(1, 5, 1, 0, 1, 0, 0, 1),
            new SamplingOptions(0.8, 40, 0.9, 0, 1, 0, 0, 2),
            new SamplingOptions(1, 0, 0.9, 0, 1, 0, 0, 3),
            new SamplingOptions(0, 0, 1, 0, 1.2, 0, 0, 4));

    @BeforeEach
    void needsADevice() {
        OnDevice.assume();
    }

    private static ModelOptions golden(String name) {
        return ModelOptions.defaults().withModel(OnDevice.GOLDEN.resolve(name)).withChunks(16, 1 << 20);
    }

    /** Draws a step's tokens, from the best of them where {@code few} says so. */
    private static final class Draw implements ModelRunner.Sink {
        private final List<Sampler> samplers = new ArrayList<>();
        private final List<List<Integer>> drawn = new ArrayList<>();
        private final int vocabulary;
        private final int[][] next;
        private int fromFew;

        Draw(int vocabulary) {
            this.vocabulary = vocabulary;
            for (int text = 0; text < 2 * WISHES.size(); text++) { // every wish twice: with few logits and with all
                samplers.add(new Sampler(WISHES.get(text / 2), new int[0]));
                drawn.add(new ArrayList<>());
            }
            next = new int[samplers.size()][1];
        }

        private void add(int sequence, int token) {
            drawn.get(sequence).add(token);
            next[sequence][0] = token;
        }

        @Override
        public void accept(int sequence, int position, float[] logits, int at) {
            add(sequence, samplers.get(sequence).next(logits, at, vocabulary));
        }

        @Override
        public int enough(int sequence) {
            return sequence % 2 == 0 ? samplers.get(sequence).enough() : 0;
        }

        @Override
        public void best(int sequence, int position, Candidates best) {
            fromFew++;
            add(sequence, samplers.get(sequence).next(best));
        }
    }

    /** In one batch, of the same logits: one token, some and all. */
    @Test
    void drawsFromTheBestWhatItDrawsFromAll() {
        try (Model model = Model.open(OnDevice.on("tornado", golden("v32-yarn")));
                ModelRunner runner = model.runner(2 * WISHES.size(), 64)) {
            Draw draw = new Draw(model.config().vocabulary());
            List<Sequence> sequences = new ArrayList<>();
            int[][] prompts = new int[2 * WISHES.size()][];
            for (int text = 0; text < prompts.length; text++) {
                sequences.add(runner.start());
                prompts[text] = OnDevice.tokens(5, model.config().vocabulary(), 3);
            }
            runner.run(sequences, prompts, ModelRunner.Wanted.LAST, draw);
            for (int step = 0; step < 40; step++) {
                runner.run(sequences, draw.next, ModelRunner.Wanted.LAST, draw);
            }
            for (int text = 0; text < prompts.length; text += 2) {
                assertEquals(draw.drawn.get(text + 1), draw.drawn.get(text), WISHES.get(text / 2).toString());
            }
            assertEquals(3 * 41, draw.fromFew); // greedy and the two with top-k
        }
    }

    /** What measures how long a step's kernels take to start must not touch what is cached. */
    @Test
    void runsWithoutRowsChangeNothing() {
        try (Model model = Model.open(OnDevice.on("tornado", golden("v32-yarn")))) {
            DeviceMeter meter = model.deviceMeter().orElseThrow();
            try (ModelRunner runner = model.runner(2, 64)) {
                List<float[]> expected = logits(model, runner, () -> {});
                assertEquals(12, meter.runs());
                List<float[]> found = logits(model, runner, () -> assertTrue(meter.launchNanos(3) > 0));
                assertEquals(12 + 12 * 4, meter.runs());
                for (int step = 0; step < expected.size(); step++) {
                    assertArrayEquals(expected.get(step), found.get(step), "step " + step);
                }
            }
            Throughput.Result result = Throughput.run(model, 3, 2, 0, 2, 1);
            assertTrue(result.onDevice());
            StepTime step = result.step();
            double all = 2e6 / result.decode().getFirst();
            assertEquals(all, step.host() + step.launch() + step.device(), 1e-6 * all);
            assertTrue(step.host() > 0 && step.launch() > 0, step.toString());
        }
    }

    /** Logits behind a prompt and behind each of the eleven tokens that follow; the sequence keeps its pages. */
    private static List<float[]> logits(Model model, ModelRunner runner, Runnable between) {
        int vocabulary = model.config().vocabulary();
        List<float[]> logits = new ArrayList<>();
        List<Sequence> sequence = List.of(runner.start());
        int[] next = OnDevice.tokens(5, vocabulary, 3);
        for (int step = 0; step < 12; step++) {
            runner.run(sequence, new int[][] {next}, ModelRunner.Wanted.LAST, (s, position, values, at) ->
                    logits.add(Arrays.copyOfRange(values, at, at + vocabulary)));
            between.run();
            next = new int[] {Sampler.greedy(logits.getLast(), 0, vocabulary)};
        }
        return logits;
    }

    /** Who wants probabilities or penalties gets them also beside those who want one token. */
    @Test
    void requestsThatNeedAllLogits() throws InterruptedException {
        assertEquals(answersAndProbabilities("vector"), answersAndProbabilities("tornado"));
    }

    private static String answersAndProbabilities(String implementation) throws InterruptedException {
        StringBuilder said = new StringBuilder();
        ModelOptions model = OnDevice.on(implementation, golden("v32-yarn"));
        try (Engine engine = Engine.create(EngineOptions.defaults().withModel(model))) {
            List<GenerationRequest> requests = new ArrayList<>();
            for (int i = 0; i < 6; i++) {
                SamplingOptions sampling = i % 3 == 2 ? WISHES.getLast() : SamplingOptions.GREEDY;
                int[] prompt = OnDevice.tokens(4 + i, 160, i);
                requests.add(new GenerationRequest(prompt, options(8, sampling), i % 3 - 1, null, false));
            }
            for (TokenStream stream : engine.submit(requests)) {
                said.append('\n');
                while (stream.next() instanceof StreamEvent.Token token) {
                    said.append(token.id());
                    if (token.logprobs() != null) {
                        said.append(String.format(" (%.2f)", token.logprobs().logprob()));
                    }
                    said.append(' ');
                }
            }
        }
        return said.toString();
    }

    private static GenerationOptions options(int count, SamplingOptions sampling) {
        return new GenerationOptions(count, sampling, List.of(), Set.of(), true);
    }

    /** Two engines with different models: by turns, and at the same time, from the first step on. */
    @Test
    void twoEnginesAtOnce() throws Exception {
        List<ModelOptions> models = List.of(golden("v32-yarn"), golden("v3-dense-attention"));
        List<List<String>> expected = new ArrayList<>();
        for (ModelOptions model : models) {
            try (Engine engine = open("vector", model)) {
                expected.add(texts(engine, 4));
            }
        }
        try (ExecutorService threads = Executors.newFixedThreadPool(2);
                Engine one = open("tornado", models.get(0));
                Engine other = open("tornado", models.get(1))) {
            for (int round = 0; round < 3; round++) {
                Future<List<String>> first = threads.submit(() -> texts(one, 4));
                Future<List<String>> second = threads.submit(() -> texts(other, 4));
                assertEquals(expected.get(0), first.get());
                assertEquals(expected.get(1), second.get());
            }
            for (int text = 0; text < 4; text++) {
                assertEquals(expected.get(0).get(text), text(one, text));
                assertEquals(expected.get(1).get(text), text(other, text));
            }
        }
    }

    private static Engine open(String implementation, ModelOptions model) {
        return Engine.create(EngineOptions.defaults().withModel(OnDevice.on(implementation, model)));
    }

    private static List<String> texts(Engine engine, int count) {
        List<String> texts = new ArrayList<>();
        for (int text = 0; text < count; text++) {
            texts.add(text(engine, text));
        }
        return texts;
    }

    private static String text(Engine engine, int seed) {
        int[] prompt = OnDevice.tokens(9 + seed, engine.model().config().vocabulary(), seed);
        return Arrays.toString(engine.generate(prompt, options(12, SamplingOptions.GREEDY)).outputIds());
    }
}
