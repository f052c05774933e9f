package dev.gyre.model.engine;

import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.Logprobs;

/** What comes out of a {@link TokenStream}: tokens, and at last either their end or a failure. */
public sealed interface StreamEvent {
    /**
     * A new token.
     *
     * @param text what is certain now and was not before; empty while a character or a stop string is unfinished
     * @param logprobs null where none were asked for
     */
    record Token(int id, String text, Logprobs logprobs) implements StreamEvent {}

    /** The text is whole, or was given up by whoever asked for it. */
    record End(Generation generation) implements StreamEvent {}

    /** There will be no more. */
    record Failed(Cause cause, String sentence) implements StreamEvent {}

    /** Why a request failed. */
    enum Cause {
        /** Its time was over. */
        TIMEOUT,
        /** The engine was closed. */
        STOPPED,
        /** The model or the machine could not. */
        BROKEN
    }
}
