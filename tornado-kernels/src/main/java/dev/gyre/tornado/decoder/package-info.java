/**
 * The whole decoder on a device: {@link dev.gyre.tornado.decoder.DecoderOps} records what a model's layers ask for in
 * their first step as one task graph, or as few as they fit in, and runs these in every step. Several devices share the
 * layers as the stages of a pipeline. Weights, caches and activations stay on the device; of a step go there its tokens,
 * positions and page tables, and logits come back. Uses {@code graph} and {@code kernels}.
 */
package dev.gyre.tornado.decoder;
