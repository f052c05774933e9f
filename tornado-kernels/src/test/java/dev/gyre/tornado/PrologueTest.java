package dev.gyre.tornado;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.IndexScorer;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.checkpoint.DType;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.RopeTable;
import dev.gyre.model.ops.Step;
import dev.gyre.model.ops.StepObserver;
import dev.gyre.model.ops.Tensor;
import dev.gyre.model.ops.cpu.CpuOps;
import dev.gyre.model.ops.cpu.HostTensor;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;

/**
 * The prologues on the device against the host's operations of a layer: rmsNorm or layerNorm, rope, append.
 *
 * <p>Two comparisons. What goes to the cache, in f32: within {@link #TOLERANCE} of the largest magnitude of its row,
 * since sums are in another order and precision. And the cache itself, every slot of it: bit by bit what the host's
 * cache makes of those f32 numbers. The device's rounding has no tolerance; a code of the device's can differ from one
 * of the host's only where the numbers before rounding do.
 */
class PrologueTest {
    /**
     * Of f32 sums by 128 threads: 4 + 7 additions, a root, a division, two products and a rotation are some 16
     * roundings of 2^-24 at most, if all of them go the same way.
     */
    private static final double TOLERANCE = 1e-6;
    /** The plain frequencies of RoPE: pair 0 turns once in 2 pi positions. */
    private static final ModelConfig.Rope ROPE = new ModelConfig.Rope(10000, null);

    private final Random random = new Random(8);
    private final WorkerPool pool = new WorkerPool(1);
    private final Ops ops = new CpuOps(pool, null, null);

    @BeforeEach
    void needsDevice() {
        Scene.provider("tornado");
    }

    @AfterEach
    void end() {
        pool.close();
    }

    private static Weight weight(float[] values) {
        return new Weight("w", DType.F32, 1, values.length, MemorySegment.ofArray(values));
    }

    private static FloatArray array(float[] values) {
        FloatArray array = DeviceArrays.floats(values.length);
        DeviceArrays.copy(values, 0, array, 0, values.length);
        return array;
    }

    /** A matrix of the host's; changes to {@code values} show. */
    private static Tensor tensor(float[] values, int columns) {
        return new HostTensor(values, 0, columns, values.length / columns, columns);
    }

    private static Tensor columns(float[] values, int stride, int from, int count) {
        return new HostTensor(values, from, stride, values.length / stride, count);
    }

    /** Projections of which some rows are zero, small, or large. */
    private float[] projections(int rows, int width) {
        float[] values = Scene.normal(random, rows * width);
        for (int i = 0; i < values.length; i++) {
            values[i] *= switch (i / width % 5) {
                case 1 -> 0f;
                case 2 -> 1e-5f;
                case 3 -> 3e8f;
                default -> 1f;
            };
        }
        return values;
    }

    private static Step step(Scene scene, int last) {
        Step step = new Step(scene.cache);
        step.clear(StepObserver.NONE);
        for (int i = 0; i < scene.lengths.length; i++) {
            int from = Math.max(0, scene.lengths[i] - last);
            step.add(scene.tables.get(i), from, new int[scene.lengths[i]], from, scene.lengths[i]);
        }
        return step;
    }

    private static float[] floats(IntArray bits, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = Float.intBitsToFloat(bits.get(i));
        }
        return values;
    }

    private static float[] copy(FloatArray array, int count) {
        float[] values = new float[count];
        DeviceArrays.copy(array, 0, values, 0, count);
        return values;
    }

    private static void assertRowsClose(float[] expected, float[] found, int width, String where) {
        assertEquals(expected.length, found.length);
        for (int row = 0; row * width < expected.length; row++) {
            Scene.assertClose(expected, found, row * width, (row + 1) * width, TOLERANCE, where + ", row " + row);
        }
    }

    private void latents(Scene scene, int last, int heads, int nope, boolean interleaved) {
        Step step = step(scene, last);
        int count = step.rows().rows();
        CacheShape shape = scene.cache.latents(0).shape();
        RopeTable table = new RopeTable(ROPE, shape.rope(), true);
        float[] gain = Scene.normal(random, shape.latent());
        float[] kv = projections(count, shape.width());
        float[] queries = Scene.normal(random, count * heads * (nope + shape.rope()));

        Rows rows = Rows.allocate(count + 2, step.rows().longest()); // more blocks than rows
        rows.set(step.rows(), 0, count);
        MirroredLatents source = new MirroredLatents(scene.cache.latents(0));
        PageMirror mirror = source.mirror();
        LatentPrologue prologue = new LatentPrologue(rows, shape, scene.cache.latents(0).dtype(), heads, nope,
                interleaved, array(gain), Angles.of(table, rows.stride() * 64));
        prologue.set(count);
        DeviceArrays.copy(kv, 0, prologue.kv(), 0, kv.length);
        prologue.queries().init(7f);
        DeviceArrays.copy(queries, 0, prologue.queries(), 0, queries.length);
        String where = shape + ", " + scene.cache.latents(0).dtype() + ", last " + last;
        KernelGraph graph = prologue.graph(mirror).onDemand(prologue.cached());
        try (MirroredPlan plan = new MirroredPlan(source, mirror, graph)) {
            plan.run(prologue.cached());
            float[] found = floats(prologue.cached(), kv.length);
            ops.rmsNorm(count, columns(kv, shape.width(), 0, shape.latent()), weight(gain), 1e-6f,
                    columns(kv, shape.width(), 0, shape.latent()));
            ops.rope(step, columns(kv, shape.width(), shape.latent(), shape.rope()), 1, 0, table, interleaved);
            // apart: a row's latents are of the order 1 whatever its rotary key is
            assertRowsClose(part(kv, shape, true), part(found, shape, true), shape.latent(), where);
            assertRowsClose(part(kv, shape, false), part(found, shape, false), shape.rope(), where);
            ops.append(step, 0, tensor(found, shape.width()), null);
            plan.assertEqualsHost(scene.cache.latents(0).slots() / PageTable.PAGE, where);
        }
        for (int i = count * shape.width(); i < prologue.cached().getSize(); i++) {
            assertEquals(0, prologue.cached().get(i), "rows that the step does not have");
        }
        ops.rope(step, tensor(queries, heads * (nope + shape.rope())), heads, nope, table, interleaved);
        assertRowsClose(queries, copy(prologue.queries(), queries.length), nope + shape.rope(), where + ", queries");
        for (int i = queries.length; i < prologue.queries().getSize(); i++) {
            assertEquals(7f, prologue.queries().get(i), "queries that the step does not have");
        }
    }

    private static float[] part(float[] kv, CacheShape shape, boolean latent) {
        int width = latent ? shape.latent() : shape.rope();
        float[] part = new float[kv.length / shape.width() * width];
        for (int i = 0; i < part.length; i++) {
            part[i] = kv[i / width * shape.width() + (latent ? 0 : shape.latent()) + i % width];
        }
        return part;
    }

    /** Sylvester's matrix, element by element: the sign is that of the parity of common ones in both numbers. */
    private static void hadamard(float[] values, int dim) {
        for (int from = 0; from < values.length; from += dim) {
            float[] row = Arrays.copyOfRange(values, from, from + dim);
            for (int i = 0; i < dim; i++) {
                double sum = 0;
                for (int j = 0; j < dim; j++) {
                    sum += Integer.bitCount(i & j) % 2 == 0 ? row[j] : -row[j];
                }
                values[from + i] = (float) (sum / Math.sqrt(dim));
            }
        }
    }

    /** Returns the queries as the device rotated them. */
    private float[] index(Scene scene, int last, IndexPrologue.Shape shape, float[] queries) {
        Step step = step(scene, last);
        int count = step.rows().rows();
        int dim = shape.dim();
        RopeTable table = new RopeTable(ROPE, shape.rope(), false);
        float[] gain = Scene.normal(random, dim);
        float[] bias = Scene.normal(random, dim);
        float[] keys = projections(count, dim);

        Rows rows = Rows.allocate(count + 2, step.rows().longest());
        rows.set(step.rows(), 0, count);
        MirroredKeys source = new MirroredKeys(scene.cache.indexKeys(0));
        PageMirror mirror = source.mirror();
        IndexPrologue prologue = new IndexPrologue(rows, shape, scene.cache.indexKeys(0).dtype(), array(gain),
                array(bias), Angles.of(table, rows.stride() * 64));
        prologue.set(count);
        DeviceArrays.copy(keys, 0, prologue.keys(), 0, keys.length);
        prologue.queries().init(7f);
        DeviceArrays.copy(queries, 0, prologue.queries(), 0, queries.length);
        String where = shape + ", " + scene.cache.indexKeys(0).dtype() + ", last " + last;
        KernelGraph graph = prologue.graph(mirror).onDemand(prologue.cached());
        try (MirroredPlan plan = new MirroredPlan(source, mirror, graph)) {
            plan.run(prologue.cached());
            float[] found = floats(prologue.cached(), keys.length);
            ops.layerNorm(count, tensor(keys, dim), weight(gain), weight(bias), 1e-6f, tensor(keys, dim));
            ops.rope(step, tensor(keys, dim), 1, 0, table, shape.interleaved());
            if (shape.hadamard()) {
                hadamard(keys, dim);
            }
            assertRowsClose(keys, found, dim, where);
            for (int row = 0; row < count; row++) {
                int slot = step.rows().slot(row, step.rows().position(row));
                scene.cache.indexKeys(0).write(slot, found, row * dim);
            }
            plan.assertEqualsHost(scene.cache.indexKeys(0).slots() / PageTable.PAGE, where);
        }
        for (int i = count * dim; i < prologue.cached().getSize(); i++) {
            assertEquals(0, prologue.cached().get(i), "rows that the step does not have");
        }
        float[] rotated = copy(prologue.queries(), queries.length);
        float[] expected = queries.clone();
        ops.rope(step, tensor(expected, shape.heads() * dim), shape.heads(), 0, table, shape.interleaved());
        if (shape.hadamard()) {
            hadamard(expected, dim);
        }
        assertRowsClose(expected, rotated, dim, where + ", queries");
        for (int i = queries.length; i < prologue.queries().getSize(); i++) {
            assertEquals(7f, prologue.queries().get(i), "queries that the step does not have");
        }
        return rotated;
    }

    private void index(Scene scene, int last, IndexPrologue.Shape shape) {
        int count = step(scene, last).rows().rows();
        index(scene, last, shape, Scene.normal(random, count * shape.heads() * shape.dim()));
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void batchesWithPrefixes(CacheDtype dtype) {
        for (int last : new int[] {1, 3, 13, 207}) {
            try (Scene scene = new Scene(new CacheShape(512, 64, 128), dtype, 207, 1, 64, 65)) {
                latents(scene, last, 3, 128, true);
                index(scene, last, new IndexPrologue.Shape(5, 128, 64, false, false));
                index(scene, last, new IndexPrologue.Shape(5, 128, 64, false, true));
            }
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void oddShapesAndTheOtherPairs(CacheDtype dtype) {
        try (Scene scene = new Scene(new CacheShape(132, 10, 36), dtype, 100, 3)) {
            latents(scene, 13, 7, 6, false);
            index(scene, 13, new IndexPrologue.Shape(3, 36, 10, true, false));
        }
        try (Scene scene = new Scene(new CacheShape(4, 2, 4), dtype, 100, 3)) {
            latents(scene, 13, 1, 0, true);
            index(scene, 13, new IndexPrologue.Shape(1, 4, 4, false, true));
        }
    }

    /** The angle of a position in f32 would be off by 1e-2 here. */
    @Test
    void farPositions() {
        try (Scene scene = new Scene(new CacheShape(4, 64, 64), CacheDtype.FP8_E4M3, 160_000)) {
            latents(scene, 3, 2, 4, true);
            index(scene, 3, new IndexPrologue.Shape(2, 64, 64, false, false));
        }
    }

    /** Scores do not see the rotation: H is orthogonal, and both sides have it. */
    @Test
    void hadamardLeavesScoresAsTheyAre() {
        IndexScorer scorer = Scene.provider("reference").indexScorer(Scene.resources(pool));
        float[][] scores = new float[2][];
        float[] queries = Scene.normal(random, 9 * 4 * 64);
        float[] weights = Scene.normal(random, 9 * 4);
        for (int turned = 0; turned < 2; turned++) {
            random.setSeed(99);
            try (Scene scene = new Scene(new CacheShape(2, 2, 64), CacheDtype.F32, 9)) {
                float[] asked = index(scene, 9, new IndexPrologue.Shape(4, 64, 32, false, turned == 1), queries);
                scores[turned] = new float[9 * 9];
                scorer.score(new IndexQueries(asked, weights, 4, 64), scene.cache.indexKeys(0), scene.last(9), 0, 9,
                        scores[turned], 9);
            }
        }
        assertTrue(Scene.difference(scores[0], new float[81], 72, 81) > 0.5, "there must be scores");
        for (int row = 0; row < 9; row++) {
            Scene.assertClose(scores[0], scores[1], row * 9, row * 9 + row + 1, 1e-5, "row " + row);
        }
    }

    @Test
    void hadamardNeedsPowersOfTwo() {
        assertThrows(EngineException.class, () -> new IndexPrologue.Shape(4, 36, 10, false, true));
    }
}
