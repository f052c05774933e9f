package dev.gyre.model.ops;

/**
 * A memory that weights, caches and activations lie in.
 *
 * @param name what to call it in a sentence
 * @param bytes its size
 */
public record Memory(String name, long bytes) {}
