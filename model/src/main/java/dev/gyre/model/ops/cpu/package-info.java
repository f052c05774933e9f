/** The operations on the CPU, in host memory, carried out at once on a fixed thread pool. */
package dev.gyre.model.ops.cpu;
