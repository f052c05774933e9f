package dev.gyre.tornado;

import dev.gyre.model.ops.RopeTable;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** The angles of rotary position embedding on the device. */
final class Angles {
    private Angles() {}

    /** {@code [positions, dim]}: the cosines of a position's dim/2 pairs, then their sines. */
    static FloatArray of(RopeTable table, int positions) {
        FloatArray angles = new FloatArray(Math.multiplyExact(positions, table.dim()));
        table.copy(positions, angles.getSegment());
        return angles;
    }
}
