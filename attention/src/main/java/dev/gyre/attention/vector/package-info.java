/**
 * The attention operations with the Vector API ({@code jdk.incubator.vector}), the implementation named {@code vector}.
 *
 * <p>Every sum has one fixed order that depends on neither threads nor batch nor chunk, and no operation is used whose
 * result may differ between interpreted and compiled code ({@code reduceLanes} of floats, {@code EXP}): the same input
 * gives the same bits. The hot loops allocate nothing; each worker has its own scratch.
 */
package dev.gyre.attention.vector;
