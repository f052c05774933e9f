/**
 * JMH benchmarks of the operations at DeepSeek-V3.2's shapes, beside the machine's ceilings, and the report that
 * {@code benchmarks/results/cpu.md} is made with. Each benchmark checks its answer before it is timed.
 */
package dev.gyre.benchmarks;
