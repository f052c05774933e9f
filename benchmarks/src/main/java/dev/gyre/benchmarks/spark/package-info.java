/**
 * Sweeps on more than one machine: the experiment of {@link dev.gyre.launcher.experiment} as a job of Apache Spark,
 * whose jars are not in {@code benchmarks.jar}.
 */
package dev.gyre.benchmarks.spark;
