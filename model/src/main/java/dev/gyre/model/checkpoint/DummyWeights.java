package dev.gyre.model.checkpoint;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.WorkerPool;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Random weights of whatever model asks, the same in every run and wherever they are made: for measurements at real
 * shapes without the files.
 */
public final class DummyWeights implements WeightSource {
    /** Elements that a thread makes at a time. */
    private static final long PIECE = 1 << 20;
    private static final int ALIGNMENT = 64;

    private final WeightFormat format;
    /** null where weights have no memory of their own. */
    private final WorkerPool pool;
    private final LoadListener listener;
    private final long total;
    private final AtomicLong made = new AtomicLong();
    private final Arena arena = Arena.ofShared();
    private final List<Weight> weights = new ArrayList<>();

    private DummyWeights(WeightFormat format, WorkerPool pool, LoadListener listener, long total) {
        this.format = format;
        this.pool = pool;
        this.listener = listener;
        this.total = total;
    }

    /** Weights that take no memory: their elements are made when they are copied or decoded. */
    public static DummyWeights unmade(WeightFormat format) {
        return new DummyWeights(format, null, LoadListener.NONE, 0);
    }

    /**
     * Weights in memory, made by all threads of the pool when they are asked for.
     *
     * @param total bytes that all of them will take, for the listener
     */
    public static DummyWeights inMemory(WeightFormat format, WorkerPool pool, LoadListener listener, long total) {
        listener.loaded(0, total);
        return new DummyWeights(format, pool, listener, total);
    }

    /** Nothing that can be left out is there. */
    @Override
    public boolean has(String name) {
        return false;
    }

    @Override
    public Weight vector(String name, int size) {
        return add(name, format.of(name, false), 1, size);
    }

    @Override
    public Weight matrix(String name, int rows, int columns) {
        return add(name, format.of(name, true), rows, columns);
    }

    private Weight add(String name, DType dtype, int rows, int columns) {
        boolean blocks = dtype == DType.F8_E4M3;
        int blockRows = blocks ? format.blockRows() : 1;
        int blockColumns = blocks ? format.blockColumns() : 1;
        Weight weight = new Weight(name, dtype, rows, columns, null, null, blockRows, blockColumns);
        weights.add(pool == null ? weight : make(weight));
        return weights.getLast();
    }

    private Weight make(Weight weight) {
        MemorySegment data = allocate(weight.elements() * weight.dtype().bytes());
        MemorySegment scales = weight.blocks() == 0 ? null : allocate(weight.blocks() * Float.BYTES);
        long elements = weight.elements();
        DummyValues values = new DummyValues(weight);
        int pieces = Math.toIntExact(Math.ceilDiv(elements, PIECE));
        pool.run(pieces, (piece, worker) -> {
            long first = piece * PIECE;
            long count = Math.min(PIECE, elements - first);
            values.write(first, count, data, first * weight.dtype().bytes());
            listener.loaded(made.addAndGet(count * weight.dtype().bytes()), total);
        });
        if (scales != null) {
            values.writeScales(weight.blocks(), scales, 0);
            listener.loaded(made.addAndGet(scales.byteSize()), total);
        }
        return new Weight(weight.name(), weight.dtype(), weight.rows(), weight.columns(), data, scales,
                weight.blockRows(), weight.blockColumns());
    }

    private MemorySegment allocate(long bytes) {
        try {
            return arena.allocate(bytes, ALIGNMENT);
        } catch (OutOfMemoryError e) {
            throw new EngineException("random weights need " + total
                    + " bytes and the machine does not have them free; use fewer --layers.", e);
        }
    }

    @Override
    public void finish() {}

    @Override
    public List<Weight> weights() {
        return Collections.unmodifiableList(weights);
    }

    @Override
    public void close() {
        arena.close();
    }
}
