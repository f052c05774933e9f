package dev.gyre.tornado.decoder;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.WorkerPool;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.LoadListener;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.kernels.Decode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A decoder's weights in few arrays: TornadoVM 5.2 has room for 1024 nodes in a graph, and an array takes three. FP8 and
 * bf16 keep the bits of their file, several arrays of ints; everything else, FP8's scales, gains and biases are in one
 * array of floats.
 */
final class WeightPool {
    /** Ints of an array, but for a weight that has more. */
    private static final int MOST_INTS = 1 << 28;
    /** Weights begin where a warp's access does not straddle sectors. */
    private static final int ALIGNED = 32;

    private final Map<Weight, Place> places = new IdentityHashMap<>();
    private final Map<Weight, Integer> vectors = new IdentityHashMap<>();
    private final List<Copy> copies = new ArrayList<>();
    private final List<Integer> sizes = new ArrayList<>();
    private final List<IntArray> ints = new ArrayList<>();
    private int floatCount;
    private FloatArray floats;
    private WorkerPool pool = new WorkerPool(1);
    private LoadListener listener = LoadListener.NONE;

    /**
     * Where weights of one shape lie, one behind the other.
     *
     * @param bin the array of ints
     * @param format {@link Decode#F32} and so on
     * @param columns values of a row
     * @param units of four values in a row
     * @param blockRows rows that share FP8's scales
     * @param blockUnits units that share one
     * @param blocks scales of a row
     * @param begin first int, or first float
     * @param scales first scale
     */
    record Place(
            int bin,
            int format,
            int columns,
            int units,
            int blockRows,
            int blockUnits,
            int blocks,
            int begin,
            int scales) {
        /** What kernels know of a weight, as {@link dev.gyre.tornado.kernels.LinearKernels} says. */
        int[] numbers() {
            return new int[] {units, format, blockRows, blockUnits, blocks, columns, begin, scales};
        }
    }

    /**
     * What brings a weight into the arrays.
     *
     * @param bytes of the weight in its file
     */
    private record Copy(long bytes, Runnable action) {}

    /** A place for these weights, which have the same shape; the same when asked again. */
    Place place(List<Weight> weights) {
        return places.computeIfAbsent(weights.getFirst(), first -> add(weights));
    }

    private Place add(List<Weight> weights) {
        Weight first = weights.getFirst();
        int columns = first.columns();
        int units = Math.ceilDiv(columns, 4);
        int matrixUnits = Math.multiplyExact(first.rows(), units);
        if (weights.stream().allMatch(weight -> keeps(weight, DType.F8_E4M3))) {
            int blocks = Math.ceilDiv(columns, first.blockColumns());
            int matrixScales = Math.ceilDiv(first.rows(), first.blockRows()) * blocks;
            int scales = floats(Math.multiplyExact(matrixScales, weights.size()));
            int bin = bin(weights, matrixUnits);
            int begin = Decode.LEAD + take(bin, Math.multiplyExact(matrixUnits, weights.size()));
            copy(weights, (weight, i) -> {
                weight.copyData(ints.get(bin).getSegment(), 4 * (begin + (long) i * matrixUnits));
                weight.copyScales(floats.getSegment(), 4 * (scales + (long) i * matrixScales));
            });
            return new Place(bin, Decode.FP8, columns, units, first.blockRows(), first.blockColumns() / 4, blocks, begin,
                    scales);
        }
        if (weights.stream().allMatch(weight -> keeps(weight, DType.BF16))) {
            int matrixInts = Math.multiplyExact(matrixUnits, 2);
            int bin = bin(weights, matrixInts);
            int begin = Decode.LEAD + take(bin, Math.multiplyExact(matrixInts, weights.size()));
            copy(weights, (weight, i) -> {
                weight.copyData(ints.get(bin).getSegment(), 4 * (begin + (long) i * matrixInts));
            });
            return new Place(bin, Decode.BF16, columns, units, 1, 1, 1, begin, 0);
        }
        int begin = floats(Math.multiplyExact(Math.multiplyExact(matrixUnits, 4), weights.size()));
        copy(weights, (weight, i) -> {
            float[] row = new float[columns];
            for (int r = 0; r < first.rows(); r++) {
                weight.decodeRow(r, row);
                DeviceArrays.copy(row, 0, floats, begin + (i * first.rows() + r) * units * 4, columns);
            }
        });
        return new Place(0, Decode.F32, columns, units, 1, 1, 1, begin, 0);
    }

    /** Whether a weight is of that dtype and keeps its bits: rows, and blocks of columns, are whole units. */
    private static boolean keeps(Weight weight, DType dtype) {
        boolean whole = weight.columns() % 4 == 0 && (dtype != DType.F8_E4M3 || weight.blockColumns() % 4 == 0);
        return weight.dtype() == dtype && whole;
    }

    /** Bytes that a weight takes in the arrays, by format; what does not keep its bits is f32, in whole units. */
    static Map<String, Long> stored(Weight weight) {
        if (keeps(weight, DType.F8_E4M3) || keeps(weight, DType.BF16)) {
            return weight.formats();
        }
        long row = Math.ceilDiv(weight.columns(), 4) * 4L;
        return Map.of(DType.F32.name(), weight.rows() * row * Float.BYTES);
    }

    /** Copies one of several weights that lie one behind the other. */
    private interface Copying {
        void copy(Weight weight, int number);
    }

    private void copy(List<Weight> weights, Copying copying) {
        for (int i = 0; i < weights.size(); i++) {
            int number = i;
            copies.add(new Copy(weights.get(i).bytes(), () -> copying.copy(weights.get(number), number)));
        }
    }

    /** An array that has room for so many ints more, at best one that has some already. */
    private int bin(List<Weight> weights, int matrixInts) {
        long wanted = (long) matrixInts * weights.size();
        if (wanted > Integer.MAX_VALUE - 2L * ALIGNED) {
            throw new EngineException("the weights " + weights.getFirst().name() + " and their like have " + wanted
                    + " units, more than an array of the device holds; use --linear-backend vector.");
        }
        if (sizes.isEmpty() || sizes.getLast() + wanted > MOST_INTS && sizes.getLast() > 0) {
            sizes.add(0);
        }
        return sizes.size() - 1;
    }

    private int take(int bin, int count) {
        int at = sizes.get(bin);
        sizes.set(bin, Math.addExact(at, Math.ceilDiv(count, ALIGNED) * ALIGNED));
        return at;
    }

    private int floats(int count) {
        int at = floatCount;
        floatCount = Math.addExact(at, Math.ceilDiv(count, ALIGNED) * ALIGNED);
        return at;
    }

    /** Where a gain or a bias lies in {@link #floats()}. */
    int vector(Weight weight) {
        return vectors.computeIfAbsent(weight, key -> {
            int at = floats(weight.columns());
            copies.add(new Copy(
                    weight.bytes(), () -> DeviceArrays.copy(weight.toArray(), 0, floats, at, weight.columns())));
            return at;
        });
    }

    /** Where a number lies in {@link #floats()}. */
    int number(float value) {
        int at = floats(1);
        copies.add(new Copy(0, () -> floats.set(at, value)));
        return at;
    }

    /** Threads that copy, and who hears how far that is. */
    void loading(WorkerPool threads, LoadListener hearer) {
        pool = threads;
        listener = hearer;
    }

    /** Makes the arrays, now that what is in them is known. */
    void build() {
        if (floats != null && copies.isEmpty()) {
            return;
        }
        floats = DeviceArrays.floats(Math.max(1, floatCount));
        ints.clear();
        if (sizes.isEmpty()) {
            sizes.add(0);
        }
        sizes.forEach(size -> ints.add(DeviceArrays.ints(Math.addExact(Decode.LEAD, size))));
        long total = copies.stream().mapToLong(Copy::bytes).sum();
        AtomicLong copied = new AtomicLong();
        listener.loaded(0, total);
        pool.run(copies.size(), (i, worker) -> {
            copies.get(i).action().run();
            listener.loaded(copied.addAndGet(copies.get(i).bytes()), total);
        });
    }

    IntArray ints(Place place) {
        return ints.get(place.bin());
    }

    FloatArray floats() {
        return floats;
    }
}
