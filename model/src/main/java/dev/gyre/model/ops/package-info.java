/**
 * The operations that a model is written against ({@link dev.gyre.model.ops.Ops}), their operands, and one step's worth
 * of input ({@link dev.gyre.model.ops.Step}). {@code ops.cpu} carries them out at once; a device may record them. No
 * layer knows which it is on. Uses {@code config}, {@code checkpoint} and the attention module.
 */
package dev.gyre.model.ops;
