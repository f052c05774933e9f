package dev.gyre.model.checkpoint;

import java.util.List;

/** Where a decoder's weights come from, by the names and shapes that it asks for. */
public sealed interface WeightSource extends AutoCloseable permits Checkpoint, DummyWeights {
    /** Whether there is a tensor of that name that a model may have or not. */
    boolean has(String name);

    /** A vector of that many elements. */
    Weight vector(String name, int size);

    /** A matrix. */
    Weight matrix(String name, int rows, int columns);

    /** Called when all has been asked for; rejects what is left and should not be. */
    void finish();

    /** The weights handed out so far. */
    List<Weight> weights();

    /** Elements of the weights handed out, scales of FP8 blocks not counted. */
    default long parameters() {
        return weights().stream().mapToLong(weight -> (long) weight.rows() * weight.columns()).sum();
    }

    /** Bytes of the weights handed out, scales included. */
    default long bytes() {
        return weights().stream().mapToLong(Weight::bytes).sum();
    }

    /** Gives the memory back; weights are void. */
    @Override
    void close();
}
