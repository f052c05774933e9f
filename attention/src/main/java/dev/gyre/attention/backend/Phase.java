package dev.gyre.attention.backend;

import java.util.Locale;

/** The parts of a step that may each be served by another implementation. */
public enum Phase {
    /** Attention of steps with more than one new token in some sequence. */
    PREFILL,
    /** Attention of steps with one new token in every sequence. */
    DECODE,
    /** Scoring of cached tokens. */
    INDEXER,
    /** Selection of the best. */
    TOPK,
    /** Everything that multiplies with weights, outside attention proper. */
    LINEAR;

    /** The option that chooses the implementation, for messages. */
    public String option() {
        return this == LINEAR ? "--linear-backend" : "--dsa-" + label() + "-backend";
    }

    /** The phase's name in lower case. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
