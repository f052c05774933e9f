package dev.gyre.attention.cache;

/** Pages of all layers in the memory of a device, which the operations of a model fill and read there. */
public interface RemotePages extends AutoCloseable {
    /** Makes a page, in every layer, what another one is. */
    void copy(int from, int to);

    /** Fills a page, in every layer, with numbers drawn from a normal distribution: what a benchmark at depth needs. */
    void draw(int page, long seed);

    /** Frees the memory. */
    @Override
    void close();
}
