package dev.gyre.model.tokenizer;

import java.util.Arrays;

/** A growing list of ints, so that a million token ids are not a million objects. */
final class IntList {
    private int[] values = new int[32];
    private int size;

    void add(int value) {
        if (size == values.length) {
            grow(size + 1);
        }
        values[size++] = value;
    }

    void addAll(int[] more) {
        if (size + more.length > values.length) {
            grow(size + more.length);
        }
        System.arraycopy(more, 0, values, size, more.length);
        size += more.length;
    }

    int get(int index) {
        return values[index];
    }

    int size() {
        return size;
    }

    void set(int index, int value) {
        values[index] = value;
    }

    /** The values from {@code from} to the end, as an array of their own. */
    int[] tail(int from) {
        return Arrays.copyOfRange(values, from, size);
    }

    int[] toArray() {
        return Arrays.copyOf(values, size);
    }

    private void grow(int atLeast) {
        values = Arrays.copyOf(values, Math.max(atLeast, size + (size >> 1)));
    }
}
