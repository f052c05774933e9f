package dev.gyre.attention;

/**
 * A failure whose message is one sentence for the person at the terminal: what is wrong, where (file, tensor, option),
 * and what to do about it. The launcher prints the message alone; it never shows a stack trace for one of these.
 */
public final class EngineException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** A mistake of the user's or in the user's files. */
    public EngineException(String sentence) {
        super(sentence);
    }

    /** The same, with what was thrown below, for those who debug. */
    public EngineException(String sentence, Throwable cause) {
        super(sentence, cause);
    }
}
