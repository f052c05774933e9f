/**
 * Paged caches of latents and index keys, and the pages that they share. A page holds 64 tokens; one page table serves
 * both caches of every layer, so that a token's latent and its index key live and die together. Uses only
 * {@code dev.gyre.attention.numeric} and the module's exception.
 */
package dev.gyre.attention.cache;
