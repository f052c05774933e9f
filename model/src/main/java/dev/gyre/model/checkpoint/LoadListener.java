package dev.gyre.model.checkpoint;

/** Hears how far the loading of a model is, on whatever thread loads it; must not wait for anything. */
public interface LoadListener {
    /** Hears nothing. */
    LoadListener NONE = new LoadListener() {};

    /** So many of a checkpoint's files are mapped, which reads their headers alone. */
    default void mapped(int files, int of) {}

    /** So many bytes of the weights are where they are to be, read or made; 0 when it begins. Not always in order. */
    default void loaded(long bytes, long of) {}
}
