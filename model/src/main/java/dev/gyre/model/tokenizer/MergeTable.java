package dev.gyre.model.tokenizer;

import java.util.Arrays;

/**
 * The merges of a BPE model: (left id, right id) to (rank, id of the two joined). Open addressing over two long
 * arrays, at most half full: 128,000 merges take 4 MB and a look-up touches one or two cache lines.
 */
final class MergeTable {
    /** No merge: greater than any rank. */
    static final long NONE = Long.MAX_VALUE;

    private static final long EMPTY = -1;

    private final long[] keys;
    private final long[] values;
    private final int shift;

    MergeTable(int merges) {
        int bits = Math.max(4, 33 - Integer.numberOfLeadingZeros(Math.max(1, merges)));
        keys = new long[1 << bits];
        values = new long[1 << bits];
        shift = 64 - bits;
        Arrays.fill(keys, EMPTY);
    }

    /** Adds a merge; one for the same pair again replaces the first, as it does in Hugging Face's reader. */
    void put(int left, int right, int rank, int merged) {
        int slot = slot(key(left, right));
        keys[slot] = key(left, right);
        values[slot] = (long) rank << 32 | merged;
    }

    /** Rank in the high 32 bits and the joined id in the low ones, or {@link #NONE}. */
    long get(int left, int right) {
        int slot = slot(key(left, right));
        return keys[slot] == EMPTY ? NONE : values[slot];
    }

    private static long key(int left, int right) {
        return (long) left << 32 | right;
    }

    private int slot(long key) {
        // Fibonacci hashing: the high bits of the product depend on all bits of both ids
        int slot = (int) (key * 0x9E3779B97F4A7C15L >>> shift);
        while (keys[slot] != EMPTY && keys[slot] != key) {
            slot = slot + 1 & keys.length - 1;
        }
        return slot;
    }
}
