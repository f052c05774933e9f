package dev.gyre.model.ops;

/**
 * The tokens of a row that have the highest logits, of equals those with the lowest ids. Valid until the next step.
 *
 * @param tokens their ids are {@code [at, at + count)}, ascending
 * @param logits theirs, at the same places; meaningless where a single token was asked for
 * @param count 0 where the row's highest logit is not a finite number
 */
public record Candidates(int[] tokens, float[] logits, int at, int count) {}
