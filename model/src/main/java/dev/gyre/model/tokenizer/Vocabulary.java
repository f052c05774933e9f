package dev.gyre.model.tokenizer;

import dev.gyre.attention.EngineException;

import java.util.BitSet;
import java.util.Map;
import java.util.OptionalInt;

/**
 * The tokens: what bytes an id stands for, which ids are special, and which id a token's spelling has. Never changes
 * once built.
 */
final class Vocabulary {
    /** Ids at or above this are refused: a file of a few bytes must not make us allocate gigabytes. */
    static final int MAXIMUM_IDS = 1 << 24;

    private final Map<String, Integer> ids;
    private final byte[][] bytes;
    private final BitSet special;
    private final String where;

    /** {@code bytes} holds null where no token has the id. */
    Vocabulary(Map<String, Integer> ids, byte[][] bytes, BitSet special, String where) {
        this.ids = ids;
        this.bytes = bytes;
        this.special = special;
        this.where = where;
    }

    int size() {
        return bytes.length;
    }

    OptionalInt id(String spelling) {
        Integer id = ids.get(spelling);
        return id == null ? OptionalInt.empty() : OptionalInt.of(id);
    }

    boolean isSpecial(int id) {
        return id >= 0 && special.get(id);
    }

    /** The bytes of a token; not to be written to. */
    byte[] bytes(int id) {
        byte[] found = id >= 0 && id < bytes.length ? bytes[id] : null;
        if (found == null) {
            throw new EngineException("No token has the id " + id + " in " + where
                    + ", whose ids lie between 0 and " + (bytes.length - 1) + "; give ids of this model.");
        }
        return found;
    }
}
