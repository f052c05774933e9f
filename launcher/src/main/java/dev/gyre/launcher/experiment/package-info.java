/**
 * Sweeps over selection policies: {@link dev.gyre.launcher.experiment.Sweep} says what,
 * {@link dev.gyre.launcher.experiment.CellRunner} measures a cell of it,
 * {@link dev.gyre.launcher.experiment.ResultFolder} keeps what was measured, and
 * {@link dev.gyre.launcher.experiment.Report} tells it. Uses the model; knows no commands, so that the Spark job in
 * {@code benchmarks} runs the same.
 */
package dev.gyre.launcher.experiment;
