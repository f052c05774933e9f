package dev.gyre.tornado.decoder;

import dev.gyre.tornado.graph.DeviceArrays;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** An array that is made when it is asked for, as large as the largest that was reserved until then. */
final class LateArray {
    private int size;
    private FloatArray array;

    LateArray reserve(long wanted) {
        size = Math.max(size, Math.toIntExact(wanted));
        return this;
    }

    FloatArray get() {
        if (array == null) {
            array = DeviceArrays.floats(size);
        }
        return array;
    }
}
