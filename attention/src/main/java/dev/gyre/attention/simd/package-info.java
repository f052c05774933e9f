/**
 * What code with vectors shares: their shapes, the operations on lanes that must give the same bits always, and loads
 * of small number formats. Uses {@code jdk.incubator.vector} and nothing of ours.
 */
package dev.gyre.attention.simd;
