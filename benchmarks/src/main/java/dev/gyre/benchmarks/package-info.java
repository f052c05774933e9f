/**
 * JMH benchmarks of the operations at DeepSeek-V3.2's shapes, beside the machine's ceilings, and the report that
 * {@code benchmarks/results/cpu.md} is made with; and the load generator for the server,
 * {@link dev.gyre.benchmarks.ServingLoad}, which knows of the server only what HTTP tells. Each benchmark checks the
 * answers that it times.
 */
package dev.gyre.benchmarks;
