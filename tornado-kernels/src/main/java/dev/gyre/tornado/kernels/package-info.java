/**
 * The kernels: static methods that TornadoVM compiles for a device. Portable ones use ints and floats alone (FP8 as four
 * bytes in an int, bf16 as two), tensor-core ones run on NVIDIA's alone. What changes from step to step (rows,
 * lengths, page tables) comes in int arrays, since scalars are frozen into the compiled code.
 *
 * <p>The language is narrow and its traps are silent: no {@code >>>} of negative numbers, no bit casts within an
 * expression, one {@code return} a helper, no local arrays as parameters; in portable kernels no barrier in an
 * {@code if}, and loops with barriers only where all threads of a block agree. Uses TornadoVM's API and the host's number
 * formats.
 */
package dev.gyre.tornado.kernels;
