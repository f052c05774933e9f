package dev.gyre.tornado.decoder;

import static dev.gyre.tornado.decoder.OnDevice.GOLDEN;
import static dev.gyre.tornado.decoder.OnDevice.TWO_LAYERS;
import static dev.gyre.tornado.decoder.OnDevice.on;
import static dev.gyre.tornado.decoder.OnDevice.tokens;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.model.LoadFormat;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.checkpoint.LoadListener;
import dev.gyre.model.config.LayerRange;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.EngineOptions;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.Sequence;
import dev.gyre.model.ops.DeviceMeter;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.StepObserver;
import dev.gyre.model.ops.Tensor;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Whole models on a device against the same models on the CPU. */
class DecoderOpsTest {
    /** Of the model under test. */
    private static int vocabulary;

    @BeforeEach
    void needsADevice() {
        OnDevice.assume();
    }

    /** What a model says of texts: logits of every position, and what each layer selected. */
    private static final class Said implements StepObserver {
        final Map<String, float[]> logits = new TreeMap<>();
        final Map<String, int[]> selected = new TreeMap<>();

        @Override
        public void selected(LayerStep layer, Selection selection) {
            QueryRows rows = layer.rows();
            for (int row = 0; row < rows.rows(); row++) {
                selected.put(rows.visible(row) + " of a sequence with the page " + rows.table(row).page(0) + " in layer "
                        + layer.layer(), selection.chosen(rows, row));
            }
        }
    }

    /** Runs texts together, in pieces of these sizes, then one more token each for {@code decode} steps. */
    private static Said run(ModelOptions options, int[][] texts, int piece, int decode) {
        Said said = new Said();
        try (Model model = Model.open(options); ModelRunner runner = model.runner(texts.length, 256)) {
            List<Sequence> sequences = new ArrayList<>();
            int longest = 0;
            for (int[] text : texts) {
                sequences.add(runner.start());
                longest = Math.max(longest, text.length);
            }
            for (int from = 0; from < longest; from += piece) {
                List<Sequence> some = new ArrayList<>();
                List<int[]> pieces = new ArrayList<>();
                for (int s = 0; s < texts.length; s++) {
                    if (from < texts[s].length) {
                        some.add(sequences.get(s));
                        pieces.add(Arrays.copyOfRange(texts[s], from, Math.min(from + piece, texts[s].length)));
                    }
                }
                keep(said, runner, some, pieces.toArray(int[][]::new), sequences);
            }
            for (int i = 0; i < decode; i++) {
                int[][] next = new int[texts.length][];
                for (int s = 0; s < texts.length; s++) {
                    next[s] = new int[] {best(said.logits.get(s + ":" + (sequences.get(s).length() - 1)))};
                }
                keep(said, runner, sequences, next, sequences);
            }
        }
        return said;
    }

    private static void keep(
            Said said, ModelRunner runner, List<Sequence> some, int[][] tokens, List<Sequence> all) {
        runner.run(some, tokens, ModelRunner.Wanted.ALL, (sequence, position, logits, at) -> {
            said.logits.put(all.indexOf(some.get(sequence)) + ":" + position,
                    Arrays.copyOfRange(logits, at, at + vocabulary));
        }, said);
    }

    private static int best(float[] logits) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            best = logits[i] > logits[best] ? i : best;
        }
        return best;
    }

    private static void compare(Said expected, Said found, float tolerance) {
        assertEquals(expected.logits.keySet(), found.logits.keySet());
        expected.logits.forEach((position, logits) -> {
            assertArrayEquals(logits, found.logits.get(position), tolerance, position);
            assertEquals(best(logits), best(found.logits.get(position)), position);
        });
    }

    private static void sameSelections(Said expected, Said found) {
        assertEquals(expected.selected.keySet(), found.selected.keySet());
        expected.selected.forEach((row, chosen) -> assertArrayEquals(chosen, found.selected.get(row), row));
    }

    private static void setVocabulary(ModelOptions options) {
        try (Model model = Model.open(options)) {
            vocabulary = model.config().vocabulary();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"v32-yarn", "v32-real-head-dims", "v3-dense-attention"})
    void goldenModels(String name) {
        ModelOptions options = ModelOptions.defaults().withModel(GOLDEN.resolve(name)).withChunks(32, 1 << 20);
        setVocabulary(options);
        int[][] texts = {tokens(45, vocabulary, 1), tokens(13, vocabulary, 2)};
        Said expected = run(on("vector", options), texts, 20, 4);
        Said found = run(on("tornado", options), texts, 20, 4);
        compare(expected, found, 1e-3f);
        sameSelections(expected, found);
    }

    /**
     * A graph for each of the layers, of some 33 kernels, in place of one for all: the same to the bit. Only the first and
     * the third layer have experts, so that the second's graph hands on what it does not use.
     */
    @Test
    void manyGraphs() {
        ModelOptions options = on("tornado", ModelOptions.defaults().withModel(GOLDEN.resolve("v32-yarn"))
                .withLoadFormat(LoadFormat.DUMMY).withChunks(16, 1 << 20)
                .withConfigOverride("{\"first_k_dense_replace\":0,\"moe_layer_freq\":2}"));
        setVocabulary(options);
        int[][] texts = {tokens(45, vocabulary, 1), tokens(13, vocabulary, 2)};
        Said expected = run(options, texts, 20, 4);
        Said found = LimitedOpsProvider.with(new GraphCut.Limits(40, 1024, 8192), () -> run(options, texts, 20, 4));
        compare(expected, found, 0f);
        sameSelections(expected, found);
    }

    /**
     * Layers shared out among devices: the same to the bit. The tiny model's second layer begins a stage with what the
     * first one selected.
     */
    @ParameterizedTest
    @CsvSource({"v32-yarn, ", "v3-dense-attention, ", "'', 'shared:freq=2,offset=1'"})
    void severalDevices(String name, String policy) {
        List<String> devices = OnDevice.several();
        ModelOptions small = ModelOptions.defaults().withSelectionPolicy(policy).withChunks(16, 1 << 20);
        ModelOptions options = on("tornado", name.isEmpty()
                ? small.withConfigOverride(TWO_LAYERS).withIndexTopk(8)
                : small.withModel(GOLDEN.resolve(name)));
        setVocabulary(options);
        int[][] texts = {tokens(45, vocabulary, 1), tokens(13, vocabulary, 2)};
        Said expected = run(options, texts, 20, 4);
        Said found = run(options.withDevices(devices), texts, 20, 4);
        compare(expected, found, 0f);
        sameSelections(expected, found);
    }

    @Test
    void moreDevicesThanLayers() {
        List<String> devices = OnDevice.several();
        ModelOptions options = on("tornado", ModelOptions.defaults().withConfigOverride(
                "{\"num_hidden_layers\":1,\"num_nextn_predict_layers\":3}")).withDevices(devices);
        EngineException few = assertThrows(EngineException.class, () -> Model.open(options));
        assertEquals("--devices names 2 devices, and the model has 1 layers to share out; name at most as many.",
                few.getMessage());
    }

    /** 7 layers of 25 kernels, of which a graph of TornadoVM has room for some 150. */
    @Test
    void moreLayersThanAGraphHasRoomFor() {
        ModelOptions options = ModelOptions.defaults().withModel(GOLDEN.resolve("v3-dense-attention"))
                .withLoadFormat(LoadFormat.DUMMY).withChunks(32, 1 << 20)
                .withConfigOverride("{\"num_hidden_layers\":7,\"first_k_dense_replace\":0}");
        setVocabulary(options);
        int[][] texts = {tokens(30, vocabulary, 6), tokens(9, vocabulary, 7)};
        compare(run(on("vector", options), texts, 20, 3), run(on("tornado", options), texts, 20, 3), 1e-3f);
    }

    /** FP8 weights in blocks; texts of more tokens than a step has rows. */
    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void theTinyModel(CacheDtype dtype) {
        ModelOptions options = ModelOptions.defaults().withConfigOverride(TWO_LAYERS).withIndexTopk(8)
                .withCacheDtype(dtype).withChunks(16, 1 << 20);
        setVocabulary(options);
        int[][] texts = {tokens(40, vocabulary, 3), tokens(7, vocabulary, 4), tokens(70, vocabulary, 5)};
        Said expected = run(on("vector", options), texts, 70, 3);
        Said found = run(on("tornado", options), texts, 70, 3);
        if (dtype == CacheDtype.F32) {
            compare(expected, found, 1e-3f);
            sameSelections(expected, found);
        } else {
            // f32 sums in another order may round to another code: a near tie in the selection changes a logit by more
            int same = 0;
            for (String position : expected.logits.keySet()) {
                same += best(expected.logits.get(position)) == best(found.logits.get(position)) ? 1 : 0;
            }
            assertTrue(same >= expected.logits.size() * 0.95, same + " of " + expected.logits.size());
        }
    }

    /** Random weights that no memory held before they were copied, of layers in the middle of a model; half precision. */
    @ParameterizedTest
    @ValueSource(strings = {"", "v32-yarn"})
    void dummySlices(String golden) {
        ModelOptions options = ModelOptions.defaults().withLoadFormat(LoadFormat.DUMMY).withChunks(16, 1 << 20)
                .withLayers(new LayerRange(1, 2)).withIndexTopk(8);
        if (!golden.isEmpty()) {
            options = options.withModel(GOLDEN.resolve(golden)).withConfigOverride("{\"torch_dtype\":\"float16\"}");
        }
        setVocabulary(options);
        int[][] texts = {tokens(20, vocabulary, 3), tokens(7, vocabulary, 4)};
        Said expected = run(on("vector", options), texts, 20, 2);
        Said found = run(on("tornado", options), texts, 20, 2);
        compare(expected, found, 1e-3f);
        sameSelections(expected, found);
    }

    @Test
    void tellsHowFarTheWeightsAre() {
        List<Long> heard = new ArrayList<>();
        ModelOptions options = on("tornado", ModelOptions.defaults().withConfigOverride(TWO_LAYERS));
        LoadListener listener = new LoadListener() {
            @Override
            public void loaded(long bytes, long of) {
                assertTrue(bytes <= of);
                heard.add(bytes);
            }
        };
        try (Model model = Model.open(options, listener); ModelRunner runner = model.runner(2, 64)) {
            assertEquals(List.of(), heard);
            for (int i = 0; i < 2; i++) {
                runner.run(List.of(runner.start()), new int[][] {{1}}, ModelRunner.Wanted.LAST, (s, p, l, at) -> {});
            }
            assertEquals(0, heard.getFirst());
            assertEquals(model.weightBytes(), heard.getLast());
            assertEquals(heard.stream().sorted().toList(), heard); // one thread, and not loaded twice
        }
    }

    /** The plan, made before anything is on the device, against the arrays that a step needed there. */
    @ParameterizedTest
    @ValueSource(strings = {"", "v32-yarn", "v3-dense-attention"})
    void takesWhatThePlanSays(String golden) {
        ModelOptions options = on("tornado", ModelOptions.defaults().withContextLength(100).withChunks(16, 1 << 20));
        options = golden.isEmpty()
                ? options.withConfigOverride(TWO_LAYERS).withCacheDtype(CacheDtype.FP8_E4M3)
                : options.withModel(GOLDEN.resolve(golden));
        List<DecoderOps> seen = new ArrayList<>();
        StepObserver observer = new StepObserver() {
            @Override
            public void hidden(int layer, QueryRows rows, Tensor stream, Ops ops) {
                seen.add((DecoderOps) ops);
            }
        };
        try (Model model = Model.open(options); ModelRunner runner = model.runner(2, 100)) {
            runner.run(List.of(runner.start()), new int[][] {{1}}, ModelRunner.Wanted.LAST, (s, p, l, at) -> {}, observer);
            long planned = model.memoryPlan(2, Long.MAX_VALUE).total();
            assertEquals(seen.getFirst().deviceBytes(), planned, 0.02 * planned);
        }
    }

    /** Prefixes that requests share, a page of which is copied when one of them goes on. */
    @Test
    void servedAsOnTheCpu() {
        String[] prompts = {"The people of the United States and the", "The people of the United Kingdom", "Call me"};
        List<String> expected = answers("vector", prompts);
        assertEquals(expected, answers("tornado", prompts));
    }

    private static List<String> answers(String implementation, String[] prompts) {
        ModelOptions model = on(implementation,
                ModelOptions.defaults().withConfigOverride(TWO_LAYERS).withContextLength(256).withChunks(16, 1 << 20));
        List<String> answers = new ArrayList<>();
        try (Engine engine = Engine.create(EngineOptions.defaults().withModel(model))) {
            for (String prompt : prompts) {
                answers.add(engine.generate(prompt, GenerationOptions.greedy(6)).text());
            }
        }
        return answers;
    }

    /** 80 pages, of which a run fills 64; sequences that were not filled would say the same. */
    @Test
    void fillsMorePagesThanARunCan() {
        ModelOptions options = on("tornado",
                ModelOptions.defaults().withConfigOverride(TWO_LAYERS).withContextLength(1024).withChunks(8, 1 << 20));
        try (Model model = Model.open(options); ModelRunner runner = model.runner(5, 1024)) {
            List<Sequence> sequences = new ArrayList<>();
            for (int s = 0; s < 5; s++) {
                sequences.add(runner.start());
                runner.fill(sequences.get(s), 1000, 100L * s);
            }
            assertEquals(5, differentLogits(model, runner, sequences));

            // what is measured is a step alone, also right after more was filled
            sequences.forEach(runner::end);
            sequences.clear();
            for (int s = 0; s < 5; s++) {
                sequences.add(runner.start());
                runner.fill(sequences.get(s), 1000, 100L * s + 1);
            }
            DeviceMeter meter = model.deviceMeter().orElseThrow();
            meter.settle();
            long runs = meter.runs();
            assertEquals(5, differentLogits(model, runner, sequences));
            assertEquals(runs + 1, meter.runs());
        }
    }

    /** How many different rows of logits there are after the same token. */
    private static long differentLogits(Model model, ModelRunner runner, List<Sequence> sequences) {
        Map<Integer, float[]> logits = new TreeMap<>();
        int vocabulary = model.config().vocabulary();
        runner.run(sequences, new int[][] {{7}, {7}, {7}, {7}, {7}}, ModelRunner.Wanted.LAST,
                (sequence, position, values, at) ->
                        logits.put(sequence, Arrays.copyOfRange(values, at, at + vocabulary)));
        return logits.values().stream().map(Arrays::toString).distinct().count();
    }

    @Test
    void whatItCannotDo() {
        ModelOptions options = ModelOptions.defaults().withConfigOverride(TWO_LAYERS);
        EngineException policy = assertThrows(EngineException.class,
                () -> Model.open(on("tornado", options.withSelectionPolicy("random"))));
        assertTrue(policy.getMessage().contains("selection policy random"), policy.getMessage());
        ModelOptions tornado = on("tornado", options);
        try (Model model = Model.open(tornado); ModelRunner runner = model.runner(1, 64)) {
            EngineException second = assertThrows(EngineException.class, () -> model.runner(1, 64));
            assertTrue(second.getMessage().contains("one set of caches"), second.getMessage());
            StepObserver curious = new StepObserver() {
                @Override
                public void hidden(int layer, QueryRows rows, Tensor stream, Ops ops) {
                    ops.read(stream, 1, new float[stream.columns()]);
                }
            };
            EngineException looked = assertThrows(EngineException.class, () -> runner.run(
                    List.of(runner.start()), new int[][] {{1}}, ModelRunner.Wanted.LAST, (s, p, l, at) -> {}, curious));
            assertTrue(looked.getMessage().contains("--linear-backend vector"), looked.getMessage());
        }
        Map<Phase, String> mixed = Map.of(Phase.LINEAR, "tornado", Phase.TOPK, "vector");
        EngineException mixture = assertThrows(EngineException.class,
                () -> Model.open(options.withAttention(null, mixed)));
        assertEquals("--linear-backend tornado runs the whole decoder; leave --dsa-topk-backend out or give it tornado too.",
                mixture.getMessage());
    }
}
