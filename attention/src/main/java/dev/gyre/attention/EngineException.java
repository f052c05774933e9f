package dev.gyre.attention;

/**
 * A failure whose message is one sentence for the person at the terminal: what is wrong, where (file, tensor, option),
 * and what to do about it. The launcher prints the message alone; it never shows a stack trace for one of these.
 */
public final class EngineException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** Characters of a message. */
    private static final int LONGEST = 1000;

    private final boolean usage;

    /** A failure: of a file, of memory, of what a model can do. */
    public EngineException(String sentence) {
        this(sentence, null, false);
    }

    /** The same, with what was thrown below, for those who debug. */
    public EngineException(String sentence, Throwable cause) {
        this(sentence, cause, false);
    }

    private EngineException(String sentence, Throwable cause, boolean usage) {
        super(presentable(sentence), cause);
        this.usage = usage;
    }

    /** Sentences quote names from files: whatever those are, the sentence stays one line of a bearable length. */
    private static String presentable(String sentence) {
        String line = sentence.replaceAll("\\p{Cntrl}", "?");
        return line.length() <= LONGEST ? line : line.substring(0, LONGEST - 3) + "...";
    }

    /** A value that could not be right whatever the model: an option out of its range. */
    public static EngineException usage(String sentence) {
        return new EngineException(sentence, null, true);
    }

    /** Whether the caller asked for something impossible, rather than something failing. */
    public boolean isUsage() {
        return usage;
    }
}
