package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * The four values of a 16 x 8 product of tensor cores that a thread holds, made readable. They belong to the rows
 * {@code lane / 4} and {@code lane / 4 + 8} and to the columns {@code lane % 4 * 2} and the one after it.
 *
 * <p>TornadoVM 5.2 lets kernels store a product ({@code mmaStore}) but not read it. Here it is stored to an array that
 * is private to the thread: the row and the column that a thread passes undo the ones that {@code mmaStore} adds for
 * it, so that every index is a constant, and NVRTC keeps such an array in registers; nothing is moved. Two facts about
 * 5.2's code for private arrays fix the numbers below: a store to element i goes to place i + 4, and a read of element
 * i comes from place 16 + 4i. So of two neighbouring columns one is readable, and the product is stored twice: first
 * with the left column where it can be read, then with the right one. Both facts rest on array headers of 16 bytes:
 * {@link #readable}.
 *
 * <p>The array must be a field of an object like this one: TornadoVM does not compile reads of a native array that a
 * kernel makes and holds in a variable.
 */
public final class ProductValues {
    private static final int LEFT = 12;
    private static final int RIGHT = 27;

    private final FloatArray cells = new FloatArray(48);

    ProductValues() {}

    /** Whether TornadoVM's arrays begin with 16 bytes; without compressed class pointers it is 24. */
    public static boolean readable() {
        return TornadoNativeArray.ARRAY_HEADER == 16;
    }

    /** Holds this product from now on. */
    void read(KernelContext context, float[] product) {
        int lane = context.localIdx & 31;
        int row = -(lane >> 2);
        int column = -2 * (lane & 3);
        context.mmaStore(product, cells, row, column + LEFT, 1);
        context.mmaStore(product, cells, row, column + RIGHT, 1);
    }

    /** Row {@code lane / 4}, left column. */
    float upperLeft() {
        return cells.get(0);
    }

    /** Row {@code lane / 4}, right column. */
    float upperRight() {
        return cells.get(4);
    }

    /** Row {@code lane / 4 + 8}, left column. */
    float lowerLeft() {
        return cells.get(2);
    }

    /** Row {@code lane / 4 + 8}, right column. */
    float lowerRight() {
        return cells.get(6);
    }
}
