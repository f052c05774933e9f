package dev.gyre.attention.cache;

import java.util.List;

/** What those who keep copies of a cache, in a device's memory, must know: what was written, and when it closes. */
final class Changes {
    private final int[] versions;
    private final List<Runnable> closing;

    /** @param closing what the {@link KvCache} does when it closes */
    Changes(int slots, List<Runnable> closing) {
        versions = new int[Math.ceilDiv(slots, PageTable.PAGE)];
        this.closing = closing;
    }

    /** Those of another cache that closes with this one. */
    Changes like(int slots) {
        return new Changes(slots, closing);
    }

    int version(int page) {
        return versions[page];
    }

    void wrote(int slot) {
        versions[slot / PageTable.PAGE]++;
    }

    void wroteAll() {
        for (int page = 0; page < versions.length; page++) {
            versions[page]++;
        }
    }

    void onClose(Runnable action) {
        closing.add(action);
    }
}
