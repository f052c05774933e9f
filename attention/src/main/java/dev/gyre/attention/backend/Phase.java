package dev.gyre.attention.backend;

import java.util.Locale;

/** The phases of sparse attention that may each be served by another implementation. */
public enum Phase {
    /** Attention of steps with more than one new token in some sequence. */
    PREFILL,
    /** Attention of steps with one new token in every sequence. */
    DECODE,
    /** Scoring of cached tokens. */
    INDEXER,
    /** Selection of the best. */
    TOPK;

    /** The option that chooses the implementation, for messages. */
    public String option() {
        return "--dsa-" + label() + "-backend";
    }

    /** The phase's name in lower case. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
