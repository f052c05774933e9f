package dev.gyre.tornado.decoder;

import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.attention.cache.RemotePages;
import dev.gyre.attention.numeric.Bf16;
import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.kernels.Decode;
import dev.gyre.tornado.kernels.StepKernels;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;

/**
 * The caches of all layers on the device. In FP8 scales lie apart from codes: OpenCL kernels cannot read a float from an
 * int array. What is to be done to whole pages is written down and done by the next run.
 */
final class DevicePages implements RemotePages {
    /** Commands that a run carries out at most. */
    private static final int MOST_COMMANDS = 64;
    /** Numbers that pages are filled from. */
    private static final int DRAWS = 256;

    private final List<Layer> layers = new ArrayList<>();
    private final int slots;
    private final int format;
    private final Runnable closing;
    /** What is to be done, in order. */
    private final Deque<int[]> waiting = new ArrayDeque<>();
    private final IntArray commands = DeviceArrays.ints(1 + StepKernels.COMMAND * MOST_COMMANDS);
    private final IntArray draws = DeviceArrays.ints(2 * DRAWS);
    private final FloatArray drawFloats = DeviceArrays.floats(DRAWS);

    /**
     * The caches of one layer.
     *
     * @param numbers of {@link StepKernels#kPages}
     */
    record Layer(
            CacheShape shape,
            IntArray latentInts,
            FloatArray latentFloats,
            IntArray keyInts,
            FloatArray keyFloats,
            int[] numbers) {}

    /** @param closing is told when the caches close */
    DevicePages(List<CacheShape> shapes, CacheDtype dtype, int slots, Runnable closing) {
        this.slots = slots;
        this.closing = closing;
        format = switch (dtype) {
            case F32 -> Decode.F32;
            case BF16 -> Decode.BF16;
            case FP8_E4M3 -> Decode.FP8;
        };
        for (CacheShape shape : shapes) {
            layers.add(layer(shape, dtype));
        }
        Random random = new Random(1);
        for (int i = 0; i < DRAWS; i++) {
            int codes = 0;
            for (int b = 0; b < 4; b++) {
                codes |= (Fp8E4M3.encode((float) random.nextGaussian()) & 255) << (8 * b);
            }
            draws.set(i, dtype == CacheDtype.FP8_E4M3 ? codes : pair(random));
            draws.set(DRAWS + i, pair(random));
            drawFloats.set(i, dtype == CacheDtype.FP8_E4M3 ? 1f : (float) random.nextGaussian());
        }
    }

    private static int pair(Random random) {
        int low = Bf16.encode((float) random.nextGaussian()) & 0xffff;
        return low | Bf16.encode((float) random.nextGaussian()) << 16;
    }

    private Layer layer(CacheShape shape, CacheDtype dtype) {
        int rowInts = 0;
        int codedInts = 0;
        int rowFloats = 0;
        int keyInts = 0;
        int keyFloats = 0;
        switch (dtype) {
            case F32 -> {
                rowFloats = shape.width();
                keyFloats = shape.index();
            }
            case BF16 -> {
                rowInts = shape.width() / 2;
                keyInts = shape.index() / 2;
            }
            case FP8_E4M3 -> {
                rowInts = Decode.fp8RowInts(shape.latent(), shape.rope());
                codedInts = shape.latent() / 4;
                rowFloats = Math.ceilDiv(shape.latent(), Decode.TILE);
                keyInts = shape.index() / 4;
                keyFloats = Math.ceilDiv(shape.index(), Decode.TILE);
            }
        }
        int[] numbers = {rowInts * PageTable.PAGE, rowFloats * PageTable.PAGE, keyInts * PageTable.PAGE,
            keyFloats * PageTable.PAGE, Math.max(1, rowInts), codedInts, Math.max(1, keyInts), keyInts};
        return new Layer(shape, ints(rowInts), floats(rowFloats), ints(keyInts), floats(keyFloats), numbers);
    }

    private IntArray ints(int ofSlot) {
        return DeviceArrays.ints(Math.addExact(Decode.LEAD, Math.multiplyExact(slots, ofSlot)));
    }

    private FloatArray floats(int ofSlot) {
        return DeviceArrays.floats(Math.max(1, Math.multiplyExact(slots, ofSlot)));
    }

    Layer layer(int layer) {
        return layers.get(layer);
    }

    int layers() {
        return layers.size();
    }

    /** How many tokens there is room for. */
    int slots() {
        return slots;
    }

    /** The kernels' number of the dtype. */
    int format() {
        return format;
    }

    IntArray commands() {
        return commands;
    }

    IntArray draws() {
        return draws;
    }

    FloatArray drawFloats() {
        return drawFloats;
    }

    /** Writes down what the next run is to do; whether another run must follow for the rest. */
    boolean stage() {
        int count = Math.min(waiting.size(), MOST_COMMANDS);
        commands.set(0, count);
        for (int i = 0; i < count; i++) {
            DeviceArrays.copy(waiting.remove(), 0, commands, 1 + i * StepKernels.COMMAND, StepKernels.COMMAND);
        }
        return !waiting.isEmpty();
    }

    @Override
    public void copy(int from, int to) {
        waiting.add(new int[] {StepKernels.COPY, from, to});
    }

    @Override
    public void draw(int page, long seed) {
        waiting.add(new int[] {StepKernels.DRAW, (int) seed & 0xffffff, page});
    }

    @Override
    public void close() {
        closing.run();
    }
}
