/**
 * A model and everything around it: {@link dev.gyre.model.Model} opens a folder and runs it,
 * {@link dev.gyre.model.engine.Engine} serves many callers with it. Sub-packages, each using only those before it:
 * {@code config} (config.json as records), {@code checkpoint} (weights), {@code tokenizer}, {@code chat} (prompts and
 * answers of conversations), {@code ops} (the operations interface and the CPU's implementation), {@code layers} (the
 * model, written once against {@code ops}), {@code arch} (architectures by name), {@code generate} (sequences, sampling,
 * generation), {@code engine} (one model for many callers), {@code research} (what selections lose).
 */
package dev.gyre.model;
