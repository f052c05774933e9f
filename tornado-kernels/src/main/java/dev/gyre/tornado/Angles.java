package dev.gyre.tornado;

import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.ops.RopeTable;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** The angles of rotary position embedding on the device. */
final class Angles {
    private Angles() {}

    /**
     * The same angles.
     *
     * @throws IllegalArgumentException if rows may see positions that they do not reach
     */
    static FloatArray reaching(FloatArray angles, Rows rows, int dim) {
        long positions = (long) rows.stride() * PageTable.PAGE;
        if (angles.getSize() < positions * dim) {
            throw new IllegalArgumentException(
                    angles.getSize() / dim + " positions' angles for rows that may see " + positions);
        }
        return angles;
    }

    /** {@code [positions, dim]}: the cosines of a position's dim/2 pairs, then their sines. */
    static FloatArray of(RopeTable table, int positions) {
        FloatArray angles = new FloatArray(Math.multiplyExact(positions, table.dim()));
        table.copy(positions, angles.getSegment());
        return angles;
    }
}
