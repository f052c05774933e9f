/**
 * The subject of the project: paged caches, the lightning indexer, top-k selection, sparse and dense Multi-head Latent
 * Attention, and the registry that decides which implementation serves each phase.
 *
 * <p>This package holds what the others share: the rows of a step ({@link dev.gyre.attention.QueryRows}), a selection
 * ({@link dev.gyre.attention.Selection}), the operations as interfaces, and the fixed thread pool. It uses nothing of
 * ours outside the module; sub-packages use it.
 */
package dev.gyre.attention;
