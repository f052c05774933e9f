/**
 * Architectures by the name that {@code config.json} gives them, in the manner of SGLang's EntryClass. A new family
 * takes one line in {@link dev.gyre.model.arch.Architectures} and, where it differs, layers of its own.
 */
package dev.gyre.model.arch;
