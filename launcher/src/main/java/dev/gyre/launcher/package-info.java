/**
 * The command line: one Picocli command a file, options shared by all in {@link dev.gyre.launcher.EngineFlags}. The
 * only place that reads the environment. JSON goes to stdout alone, everything else that is not the answer to stderr; a
 * user's mistake is one sentence and exit code 2, a failure one sentence and exit code 1.
 */
package dev.gyre.launcher;
