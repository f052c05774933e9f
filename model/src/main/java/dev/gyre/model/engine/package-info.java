/**
 * One model for many callers: {@link dev.gyre.model.engine.Engine} takes requests from any thread, and one thread runs
 * them together, token by token, on caches in which they share what they have in common. Uses {@code generate} and all
 * below it.
 */
package dev.gyre.model.engine;
