/**
 * The scalar twins: every operation written like its formula, accumulated in f64, threads only over independent rows.
 * They are the oracle that fast implementations and GPU kernels are tested against, and the implementation named
 * {@code reference}.
 */
package dev.gyre.attention.reference;
