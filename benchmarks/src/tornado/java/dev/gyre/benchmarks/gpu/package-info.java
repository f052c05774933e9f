/**
 * Timings of the TornadoVM kernels on a GPU, each with its answer checked in the same run; compiled where
 * {@code TORNADOVM_HOME} is set.
 */
package dev.gyre.benchmarks.gpu;
