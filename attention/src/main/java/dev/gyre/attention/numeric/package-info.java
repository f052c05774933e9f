/** Number formats of checkpoints and caches (bf16, FP8 E4M3), bit by bit. Uses the JDK alone. */
package dev.gyre.attention.numeric;
