package dev.gyre.model.generate;

import dev.gyre.attention.cache.PageTable;

/** The cached part of one text: its pages and how many tokens are in them. */
public final class Sequence {
    private final PageTable pages;
    private int length;

    Sequence(PageTable pages, int length) {
        this.pages = pages;
        this.length = length;
    }

    /** How many tokens are cached. */
    public int length() {
        return length;
    }

    PageTable pages() {
        return pages;
    }

    void extend(int tokens) {
        length += tokens;
    }
}
