/**
 * Which attention runs and who carries it out: attention backends by name ({@code dsa}, {@code nsa}, {@code dense}), in
 * the manner of SGLang's registry, and for each of their phases an implementation ({@code reference}, {@code vector},
 * {@code tornado}) found through {@link java.util.ServiceLoader}. Uses the operations' interfaces, never a particular
 * implementation.
 */
package dev.gyre.attention.backend;
