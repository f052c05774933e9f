package dev.gyre.model.tokenizer;

import java.util.Arrays;

/**
 * Remembers the ids of short pieces, since the same words come again and again. A fixed number of slots, each holding
 * the latest piece that hashed there: bounded whatever the text. Any number of threads may use it without locks: an
 * entry is immutable with final fields, so a reader sees a whole entry or none, and a lost write costs a recomputation.
 */
final class PieceCache {
    /** Longer pieces are rare and seldom repeat. */
    static final int LONGEST = 32;

    private static final int SLOTS = 1 << 14;

    private record Entry(byte[] piece, int[] ids) {
    }

    private final Entry[] slots = new Entry[SLOTS];

    /** The ids of the piece in {@code bytes[0, length)}, or null; not to be written to. */
    int[] get(byte[] bytes, int length) {
        Entry entry = slots[slot(bytes, length)];
        boolean found = entry != null && Arrays.equals(entry.piece, 0, entry.piece.length, bytes, 0, length);
        return found ? entry.ids : null;
    }

    void put(byte[] bytes, int length, int[] ids) {
        slots[slot(bytes, length)] = new Entry(Arrays.copyOf(bytes, length), ids);
    }

    private static int slot(byte[] bytes, int length) {
        int hash = length;
        for (int i = 0; i < length; i++) {
            hash = hash * 31 + bytes[i];
        }
        hash *= 0x9E3779B9;
        return hash >>> 18;
    }
}
