/**
 * HiSparse, hierarchical sparse attention: all latents lie in a store that is large and slow, memory or a file, and
 * attention reads them from a small hot buffer for each sequence. Results are the same to the bit. After SGLang's
 * feature of that name (docs/advanced_features/hisparse_guide.md). Uses the caches and the registry.
 */
package dev.gyre.attention.hisparse;
