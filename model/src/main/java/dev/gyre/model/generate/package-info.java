/**
 * From prompts to tokens: sequences and their pages, chunked prefill and batched decode
 * ({@link dev.gyre.model.generate.ModelRunner}), sampling, and generation with its stop conditions. Uses {@code layers}
 * through the decoder and {@code tokenizer} for text.
 */
package dev.gyre.model.generate;
