package dev.gyre.model;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.Sampler;
import dev.gyre.model.generate.Sequence;
import dev.gyre.model.ops.StepObserver;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Everything that a run over one prompt shows: logits and greedy choice by position, selections by position and
 * layer.
 */
final class Recorded implements StepObserver {
    final Map<Integer, float[]> logits = new TreeMap<>();
    final Map<Integer, Integer> greedy = new TreeMap<>();
    final Map<Integer, Map<Integer, int[]>> selections = new TreeMap<>();

    /** Runs a prompt in pieces of {@code piece} tokens given one after the other. */
    static Recorded run(Model model, int[] prompt, int piece) {
        Recorded recorded = new Recorded();
        try (ModelRunner runner = model.runner(1, prompt.length)) {
            Sequence sequence = runner.start();
            for (int from = 0; from < prompt.length; from += piece) {
                int[] tokens = Arrays.copyOfRange(prompt, from, Math.min(prompt.length, from + piece));
                recorded.run(runner, List.of(sequence), new int[][] {tokens}, model.config().vocabulary());
            }
        }
        return recorded;
    }

    /** Greedy tokens after a prompt. */
    static int[] greedyContinuation(Model model, int[] prompt, int count) {
        int[] output = new int[count];
        try (ModelRunner runner = model.runner(1, prompt.length + count)) {
            Sequence sequence = runner.start();
            int[] next = prompt;
            for (int i = 0; i < count; i++) {
                int at = i;
                runner.run(List.of(sequence), new int[][] {next}, ModelRunner.Wanted.LAST, (s, position, logits, from) ->
                        output[at] = Sampler.greedy(logits, from, model.config().vocabulary()));
                next = new int[] {output[i]};
            }
        }
        return output;
    }

    private void run(ModelRunner runner, List<Sequence> sequences, int[][] tokens, int vocabulary) {
        runner.run(sequences, tokens, ModelRunner.Wanted.ALL, (s, position, values, at) -> {
            logits.put(position, Arrays.copyOfRange(values, at, at + vocabulary));
            greedy.put(position, Sampler.greedy(values, at, vocabulary));
        }, this);
    }

    @Override
    public void selected(LayerStep layer, Selection selection) {
        QueryRows rows = layer.rows();
        for (int row = 0; row < rows.rows(); row++) {
            selections.computeIfAbsent(rows.position(row), p -> new TreeMap<>()).put(layer.layer(), selection.chosen(rows, row));
        }
    }
}
