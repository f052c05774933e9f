package dev.gyre.tornado.graph;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.LongArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** TornadoVM's arrays and Java's. */
public final class DeviceArrays {
    private DeviceArrays() {}

    /** An array of zeros. (New arrays hold garbage.) */
    public static FloatArray floats(int size) {
        FloatArray array = new FloatArray(size);
        array.init(0f);
        return array;
    }

    /** An array of zeros. */
    public static IntArray ints(int size) {
        IntArray array = new IntArray(size);
        array.init(0);
        return array;
    }

    /** An array of zeros. */
    public static LongArray longs(int size) {
        LongArray array = new LongArray(size);
        array.init(0L);
        return array;
    }

    /** Copies {@code source[from, from + count)} to {@code target[at..]}. */
    public static void copy(float[] source, int from, FloatArray target, int at, int count) {
        MemorySegment.copy(source, from, target.getSegment(), ValueLayout.JAVA_FLOAT, at * 4L, count);
    }

    /** Copies {@code source[from, from + count)} to {@code target[at..]}. */
    public static void copy(int[] source, int from, IntArray target, int at, int count) {
        MemorySegment.copy(source, from, target.getSegment(), ValueLayout.JAVA_INT, at * 4L, count);
    }

    /** Copies {@code source[from, from + count)} to {@code target[at..]}. */
    public static void copy(FloatArray source, int from, float[] target, int at, int count) {
        MemorySegment.copy(source.getSegment(), ValueLayout.JAVA_FLOAT, from * 4L, target, at, count);
    }

    /** Copies {@code source[from, from + count)} to {@code target[at..]}. */
    public static void copy(IntArray source, int from, int[] target, int at, int count) {
        MemorySegment.copy(source.getSegment(), ValueLayout.JAVA_INT, from * 4L, target, at, count);
    }

    /** Bytes of an array. */
    static long bytes(Object array) {
        return array instanceof TornadoNativeArray values ? values.getNumBytesOfSegmentWithHeader() : 0;
    }
}
