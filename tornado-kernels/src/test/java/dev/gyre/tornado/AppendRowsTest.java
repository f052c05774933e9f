package dev.gyre.tornado;

import dev.gyre.attention.QueryRows;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.tornado.graph.DeviceArrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.Random;

/** Rows that the device rounds and stores against what the host's caches make of the same rows, bit by bit. */
class AppendRowsTest {
    private final Random random = new Random(6);

    @BeforeEach
    void needsDevice() {
        Scene.provider("tornado");
    }

    /** Rows of what is hard to round: see the cases. */
    private float[] rows(int count, int width) {
        float[] values = new float[count * width];
        for (int row = 0; row < count; row++) {
            float power = Math.scalb(1f, random.nextInt(-149, 110));
            for (int i = 0; i < width; i++) {
                int at = row * width + i;
                float normal = (float) random.nextGaussian();
                int anyBits = random.nextInt() & 0xbfffffff; // of any exponent up to 2^0
                float code = Fp8E4M3.decode((byte) random.nextInt(0, 0x7e));
                float nextCode = Fp8E4M3.decode((byte) (Fp8E4M3.encode(code) + 1));
                float tie = (code + nextCode) / 2 * (random.nextBoolean() ? 1 : -1);
                values[at] = switch (row % 9) {
                    case 0 -> normal;
                    case 1 -> i % 2 == 0 ? 0f : -0f;
                    case 2 -> Float.intBitsToFloat(anyBits);
                    // FP8's ties and their neighbours: the scale is a power of two where the largest is 448 times one
                    case 3 -> (i % 128 == 0 ? 448f : Float.intBitsToFloat(
                            Float.floatToRawIntBits(tie) + random.nextInt(-1, 2))) * Math.max(power, 0x1p-100f);
                    // bf16's ties
                    case 4 -> Float.intBitsToFloat(Float.floatToRawIntBits(normal) & 0xffff0000 | 0x8000);
                    // far below what a scale of an index key serves; scales of latents become subnormal, and nothing
                    case 5 -> normal * power;
                    case 6 -> normal * 1e30f;
                    case 7 -> i == 2 ? Float.intBitsToFloat(0xffc00001) : normal; // NaN
                    // amax around 448 times a power of two, where the scale of an index key doubles
                    default -> Float.intBitsToFloat(Float.floatToRawIntBits(448f) + random.nextInt(-1, 2) - i % 128);
                };
            }
        }
        return values;
    }

    private void appendLatents(Scene scene, int last) {
        QueryRows step = scene.last(last);
        CacheShape shape = scene.cache.latents(0).shape();
        Rows rows = Rows.allocate(step.rows() + 3, step.longest()); // more blocks than rows
        MirroredLatents source = new MirroredLatents(scene.cache.latents(0));
        AppendRows append = AppendRows.latents(rows, source);
        PageMirror mirror = source.mirror();
        try (MirroredPlan plan = new MirroredPlan(source, mirror, append.graph(mirror))) {
            float[] values = rows(step.rows(), shape.width());
            set(append, rows, step, values);
            plan.run();
            for (int row = 0; row < step.rows(); row++) {
                int slot = step.slot(row, step.position(row));
                scene.cache.latents(0).write(slot, values, row * shape.width());
            }
            plan.assertEqualsHost(scene.cache.latents(0).slots() / PageTable.PAGE, shape + " " + last);
        }
    }

    private void appendKeys(Scene scene, int last) {
        QueryRows step = scene.last(last);
        int dim = scene.cache.indexKeys(0).dim();
        Rows rows = Rows.allocate(step.rows() + 3, step.longest());
        MirroredKeys source = new MirroredKeys(scene.cache.indexKeys(0));
        AppendRows append = AppendRows.keys(rows, source);
        PageMirror mirror = source.mirror();
        try (MirroredPlan plan = new MirroredPlan(source, mirror, append.graph(mirror))) {
            float[] values = rows(step.rows(), dim);
            set(append, rows, step, values);
            plan.run();
            for (int row = 0; row < step.rows(); row++) {
                scene.cache.indexKeys(0).write(step.slot(row, step.position(row)), values, row * dim);
            }
            plan.assertEqualsHost(scene.cache.indexKeys(0).slots() / PageTable.PAGE, "keys of " + dim + ", " + last);
        }
    }

    private static void set(AppendRows append, Rows rows, QueryRows step, float[] values) {
        rows.set(step, 0, step.rows());
        append.set(step.rows());
        append.values().init(0x3f800000); // rows that the step does not have would show
        for (int i = 0; i < values.length; i++) {
            append.values().set(i, Float.floatToRawIntBits(values[i]));
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void sameBitsAsTheHost(CacheDtype dtype) {
        for (int last : new int[] {1, 13, 207}) {
            try (Scene scene = new Scene(new CacheShape(512, 64, 128), dtype, 207, 1, 64, 65)) {
                appendLatents(scene, last);
                appendKeys(scene, last);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void oddShapes(CacheDtype dtype) {
        for (CacheShape shape : new CacheShape[] {
            new CacheShape(4, 2, 4), new CacheShape(36, 6, 36), new CacheShape(132, 10, 64), new CacheShape(260, 62, 20)
        }) {
            try (Scene scene = new Scene(shape, dtype, 100, 3)) {
                appendLatents(scene, 13);
                appendKeys(scene, 13);
            }
        }
        if (dtype != CacheDtype.FP8_E4M3) { // whose codes come by fours
            try (Scene scene = new Scene(new CacheShape(6, 2, 2), dtype, 100, 3)) {
                appendLatents(scene, 13);
                appendKeys(scene, 13);
            }
        }
    }
}
