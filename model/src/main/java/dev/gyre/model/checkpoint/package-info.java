/**
 * The files of a model and the weights in them: safetensors, memory-mapped, decoded only where an operation reads them;
 * or random weights in their place. Whatever the bytes are, opening ends in success or in an
 * {@link dev.gyre.attention.EngineException}.
 */
package dev.gyre.model.checkpoint;
