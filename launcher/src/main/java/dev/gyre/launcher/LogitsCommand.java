package dev.gyre.launcher;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.model.Model;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.Sampler;
import dev.gyre.model.ops.StepObserver;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.PrintWriter;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.IntStream;

/** {@code engine logits}. */
@Command(name = "logits", description = "Shows what the model expects behind each position of a prompt.")
final class LogitsCommand implements Runnable {
    private static final int SHOWN = 5;

    @Mixin
    private PromptFlags prompt;

    @Mixin
    private PositionsFlag positions;

    @Option(names = "--selections", description = "also which positions each layer attended to")
    private boolean selections;

    @Mixin
    private JsonFlag json;

    @Mixin
    private EngineFlags flags;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        try (Model model = flags.open()) {
            int[] tokens = prompt.tokens(model);
            int[] wanted = positions.of(tokens.length);
            Answer answer = new Answer(model.config().vocabulary(), wanted);
            try (ModelRunner runner = model.runner(1, Math.min(tokens.length, model.contextLength()))) {
                runner.run(
                        List.of(runner.start()),
                        new int[][] {tokens},
                        (s, position, last) -> Arrays.binarySearch(wanted, position) >= 0,
                        answer,
                        selections ? answer : StepObserver.NONE);
            }
            if (json.wanted()) {
                printJson(tokens, wanted, answer);
            } else {
                printTable(model, wanted, answer);
            }
        }
    }

    private void printJson(int[] tokens, int[] wanted, Answer answer) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("input_ids", tokens);
        fields.put("positions", wanted);
        fields.put("logits", answer.logits.values());
        fields.put("greedy", answer.logits.values().stream().map(row -> Sampler.greedy(row, 0, row.length)).toList());
        if (selections) {
            Map<String, Object> selected = new LinkedHashMap<>();
            answer.selected.forEach((position, layers) -> selected.put(position.toString(), layers.values()));
            fields.put("selected_tokens", selected);
        }
        JsonFlag.print(spec.commandLine().getOut(), fields);
    }

    private void printTable(Model model, int[] wanted, Answer answer) {
        PrintWriter out = spec.commandLine().getOut();
        for (int position : wanted) {
            float[] logits = answer.logits.get(position);
            out.println("position " + position + ":");
            IntStream.range(0, logits.length)
                    .boxed()
                    .sorted((a, b) -> Float.compare(logits[b], logits[a]))
                    .limit(SHOWN)
                    .forEach(token -> out.printf(
                            "  %8.3f  %6d  %s%n", logits[token], token, Shown.token(model, token)));
            if (selections) {
                answer.selected.get(position).forEach((layer, chosen) -> out.println(
                        "  layer " + layer + " attended to " + chosen.length + ": " + Shown.ranges(chosen)));
            }
        }
    }

    /** Collects logits and selections of the wanted positions. */
    private static final class Answer implements ModelRunner.Sink, StepObserver {
        private final int vocabulary;
        private final TreeSet<Integer> wanted = new TreeSet<>();
        private final TreeMap<Integer, float[]> logits = new TreeMap<>();
        private final TreeMap<Integer, TreeMap<Integer, int[]>> selected = new TreeMap<>();

        Answer(int vocabulary, int[] positions) {
            this.vocabulary = vocabulary;
            for (int position : positions) {
                wanted.add(position);
            }
        }

        @Override
        public void accept(int sequence, int position, float[] values, int at) {
            logits.put(position, Arrays.copyOfRange(values, at, at + vocabulary));
        }

        @Override
        public void selected(LayerStep layer, Selection selection) {
            QueryRows rows = layer.rows();
            for (int row = 0; row < rows.rows(); row++) {
                if (wanted.contains(rows.position(row))) {
                    selected.computeIfAbsent(rows.position(row), p -> new TreeMap<>())
                            .put(layer.layer(), selection.chosen(rows, row));
                }
            }
        }
    }
}
