package dev.gyre.attention.cache;

import java.util.Arrays;

/** The pages of one sequence, in order: token p lies in slot {@code pages[p / 64] * 64 + p % 64}. */
public final class PageTable {
    /** Tokens in a page. */
    public static final int PAGE = 64;

    private int[] pages = new int[4];
    private int count;

    /** How many tokens the pages have room for. */
    public int capacity() {
        return count * PAGE;
    }

    /** How many pages the sequence holds. */
    public int count() {
        return count;
    }

    /** The number of the i-th page. */
    public int page(int i) {
        return pages[i];
    }

    /** The cache slot of a token. */
    public int slot(int position) {
        return pages[position / PAGE] * PAGE + position % PAGE;
    }

    /** Forgets the pages, which others hold; a sequence gives its own back to its pool first. */
    public void clear() {
        count = 0;
    }

    void replace(int i, int page) {
        pages[i] = page;
    }

    /** Puts a page behind the others; pages are taken from a {@link PagePool} for sequences, from others for views. */
    public void append(int page) {
        if (count == pages.length) {
            pages = Arrays.copyOf(pages, count * 2);
        }
        pages[count++] = page;
    }

    int removeLast() {
        return pages[--count];
    }
}
