package dev.gyre.attention.cache;

import dev.gyre.attention.EngineException;

/**
 * The free pages of a {@link KvCache}. The page freed last is used first, while it is warm in the processor's caches.
 */
public final class PagePool {
    private final int[] free;
    private int available;

    /** @param pages how many pages there are, all free */
    public PagePool(int pages) {
        free = new int[pages];
        available = pages;
        for (int i = 0; i < pages; i++) {
            free[i] = pages - 1 - i;
        }
    }

    /** How many pages there are. */
    public int size() {
        return free.length;
    }

    /** How many pages are free. */
    public synchronized int available() {
        return available;
    }

    /** Makes a sequence's page table reach {@code tokens} tokens; takes all the pages that this needs, or none. */
    public synchronized void reserve(PageTable table, int tokens) {
        int wanted = Math.ceilDiv(tokens, PageTable.PAGE) - table.count();
        if (wanted > available) {
            throw new EngineException("the KV cache is full: " + wanted + " more pages of " + PageTable.PAGE
                    + " tokens are needed and " + available + " of " + free.length
                    + " are free; use fewer or shorter sequences, or a larger --context-length.");
        }
        for (int i = 0; i < wanted; i++) {
            table.append(free[--available]);
        }
    }

    /** Takes one page back. */
    synchronized void give(int page) {
        free[available++] = page;
    }

    /** Takes all pages of a sequence back. */
    public synchronized void release(PageTable table) {
        while (table.count() > 0) {
            free[available++] = table.removeLast();
        }
    }
}
