package dev.gyre.model.tokenizer;

import dev.gyre.attention.EngineException;

import java.util.Arrays;

/**
 * Byte-pair encoding of one piece: starting from one token a byte, the pair of neighbours whose merge has the lowest
 * rank is joined, the leftmost first among equals, until no pair has a merge. Short pieces scan for that pair; long
 * ones keep the pairs in a heap, O(n log n), so that megabytes without a space are still encoded in seconds.
 */
final class Bpe {
    /** Up to this many bytes scanning beats the heap. */
    private static final int SHORT = 64;

    private final Vocabulary vocabulary;
    private final MergeTable merges;
    private final boolean ignoreMerges;
    private final String where;
    /** The token of each single byte, -1 where the vocabulary has none. */
    private final int[] byteIds = new int[256];
    private final PieceCache cache = new PieceCache();

    Bpe(Vocabulary vocabulary, MergeTable merges, boolean ignoreMerges, String where) {
        this.vocabulary = vocabulary;
        this.merges = merges;
        this.ignoreMerges = ignoreMerges;
        this.where = where;
        for (int b = 0; b < 256; b++) {
            byteIds[b] = vocabulary.id(String.valueOf(ByteLevel.character(b))).orElse(-1);
        }
    }

    /** Appends the ids of the piece in {@code bytes[0, length)}. */
    void encode(byte[] bytes, int length, IntList out) {
        if (length > PieceCache.LONGEST) {
            encodeAnew(bytes, length, out);
            return;
        }
        int[] known = cache.get(bytes, length);
        if (known != null) {
            out.addAll(known);
            return;
        }
        int before = out.size();
        encodeAnew(bytes, length, out);
        cache.put(bytes, length, out.tail(before));
    }

    private void encodeAnew(byte[] bytes, int length, IntList out) {
        if (ignoreMerges) {
            var whole = vocabulary.id(ByteLevel.spell(bytes, length));
            if (whole.isPresent()) {
                out.add(whole.getAsInt());
                return;
            }
        }
        int[] ids = new int[length];
        for (int i = 0; i < length; i++) {
            ids[i] = byteIds[bytes[i] & 0xFF];
            if (ids[i] < 0) {
                throw new EngineException(String.format("The vocabulary in %s has no token for the byte 0x%02X, which "
                        + "the text needs; use the tokenizer.json that came with the model.", where, bytes[i] & 0xFF));
            }
        }
        if (length <= SHORT) {
            scan(ids, out);
        } else {
            heap(ids, out);
        }
    }

    private void scan(int[] ids, IntList out) {
        int n = ids.length;
        long[] pairs = new long[n]; // pairs[i]: the merge of ids[i] and ids[i + 1]
        for (int i = 0; i + 1 < n; i++) {
            pairs[i] = merges.get(ids[i], ids[i + 1]);
        }
        while (n > 1) {
            int best = 0;
            for (int i = 1; i + 1 < n; i++) {
                if (pairs[i] < pairs[best]) { // equal pairs have equal values: the leftmost stays
                    best = i;
                }
            }
            if (pairs[best] == MergeTable.NONE) {
                break;
            }
            ids[best] = (int) pairs[best];
            System.arraycopy(ids, best + 2, ids, best + 1, n - best - 2);
            System.arraycopy(pairs, best + 2, pairs, best + 1, n - best - 2);
            n--;
            if (best > 0) {
                pairs[best - 1] = merges.get(ids[best - 1], ids[best]);
            }
            if (best + 1 < n) {
                pairs[best] = merges.get(ids[best], ids[best + 1]);
            }
        }
        for (int i = 0; i < n; i++) {
            out.add(ids[i]);
        }
    }

    /**
     * The symbols are a doubly linked list over the byte positions; the heap holds (rank, position of the left symbol).
     * Entries are not removed when one of their symbols is merged away: such an entry is known, when it comes up, by
     * the pair now at its position having another rank or being gone.
     */
    private void heap(int[] ids, IntList out) {
        int n = ids.length;
        int[] next = new int[n];
        int[] previous = new int[n];
        var queue = new LongHeap(n);
        for (int i = 0; i < n; i++) {
            next[i] = i + 1;
            previous[i] = i - 1;
            if (i + 1 < n) {
                offer(queue, merges.get(ids[i], ids[i + 1]), i);
            }
        }
        while (!queue.isEmpty()) {
            long entry = queue.poll();
            int left = (int) entry;
            int right = next[left];
            if (ids[left] < 0 || right >= n) {
                continue;
            }
            long merge = merges.get(ids[left], ids[right]);
            if (merge == MergeTable.NONE || merge >>> 32 != entry >>> 32) {
                continue;
            }
            ids[left] = (int) merge;
            ids[right] = -1;
            int after = next[right];
            next[left] = after;
            if (after < n) {
                previous[after] = left;
                offer(queue, merges.get(ids[left], ids[after]), left);
            }
            int before = previous[left];
            if (before >= 0) {
                offer(queue, merges.get(ids[before], ids[left]), before);
            }
        }
        for (int i = 0; i < n; i = next[i]) {
            out.add(ids[i]);
        }
    }

    private static void offer(LongHeap queue, long merge, int position) {
        if (merge != MergeTable.NONE) {
            queue.add(merge & 0xFFFF_FFFF_0000_0000L | position);
        }
    }

    /** A binary min-heap of non-negative longs. */
    private static final class LongHeap {
        private long[] heap;
        private int size;

        LongHeap(int capacity) {
            heap = new long[capacity];
        }

        boolean isEmpty() {
            return size == 0;
        }

        void add(long value) {
            if (size == heap.length) {
                heap = Arrays.copyOf(heap, size + (size >> 1) + 1);
            }
            int at = size++;
            while (at > 0) {
                int parent = at - 1 >> 1;
                if (heap[parent] <= value) {
                    break;
                }
                heap[at] = heap[parent];
                at = parent;
            }
            heap[at] = value;
        }

        long poll() {
            long least = heap[0];
            long value = heap[--size];
            int at = 0;
            int child;
            while ((child = 2 * at + 1) < size) {
                if (child + 1 < size && heap[child + 1] < heap[child]) {
                    child++;
                }
                if (value <= heap[child]) {
                    break;
                }
                heap[at] = heap[child];
                at = child;
            }
            heap[at] = value;
            return least;
        }
    }
}
