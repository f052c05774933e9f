package dev.gyre.model.engine;

/** Hears what an engine does, on the thread that does it: for metrics. Must not wait for anything. */
public interface EngineListener {
    /** Hears nothing. */
    EngineListener NONE = new EngineListener() {};

    /** A request begins: so many tokens of its prompt were cached. */
    default void admitted(int promptTokens, int cachedTokens, double secondsQueued) {}

    /** The first token of a request came, this long after it was submitted. */
    default void firstToken(double seconds) {}

    /** Another token came, this long after the one before. */
    default void nextToken(double seconds) {}

    /** A request ended, this long after it was submitted. */
    default void ended(int generatedTokens, boolean whole, double seconds) {}
}
