package dev.gyre.attention.vector;

import static dev.gyre.attention.Randoms.normal;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.gyre.attention.AttentionMass;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Scene;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.Resources;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.reference.ReferenceAttentionMass;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;

class VectorAttentionMassTest {
    private static final float SENTINEL = -7f;

    private final WorkerPool pool = new WorkerPool(2);
    private final AttentionMass vector = new VectorProvider().attentionMass(Resources.of(pool));
    private final AttentionMass reference = new ReferenceAttentionMass(pool);
    private final Random random = new Random(5);

    @AfterEach
    void endThreads() {
        pool.close();
    }

    private static float[] mass(AttentionMass of, MlaQueries queries, Scene scene, QueryRows rows, int[] chosen) {
        int stride = rows.longest() + 3;
        float[] mass = new float[chosen.length * stride];
        Arrays.fill(mass, SENTINEL);
        of.mass(queries, scene.cache.latents(0), rows, chosen, chosen.length, mass, stride);
        return mass;
    }

    @ParameterizedTest
    @EnumSource(CacheDtype.class)
    void equalsTheReferenceOnOddSizes(CacheDtype dtype) {
        for (int heads : new int[] {1, 3, 4, 37}) {
            try (Scene scene = new Scene(new CacheShape(19, 6, 0), dtype, 1, 15, 64, 65, 207)) {
                QueryRows rows = scene.last(4);
                MlaQueries queries = new MlaQueries(normal(random, rows.rows() * heads * 25), heads, 19, 6, 0.9f);
                int[] chosen = IntStream.range(0, rows.rows()).filter(row -> row % 3 != 1).toArray();
                float[] expected = mass(reference, queries, scene, rows, chosen);
                float[] found = mass(vector, queries, scene, rows, chosen);
                assertArrayEquals(expected, found, 2e-6f, heads + " heads");
                for (int i = 0; i < chosen.length; i++) {
                    double sum = 0;
                    for (int s = 0; s < rows.visible(chosen[i]); s++) {
                        sum += found[i * (rows.longest() + 3) + s];
                    }
                    assertEquals(1, sum, 1e-5);
                }
            }
        }
    }

    /** Scores of thousands, as large queries give them: everything falls on one token of each head. */
    @Test
    void sharpAttention() {
        try (Scene scene = new Scene(new CacheShape(16, 4, 0), CacheDtype.F32, 130)) {
            QueryRows rows = scene.last(1);
            MlaQueries queries = new MlaQueries(normal(random, 2 * 20), 2, 16, 4, 2000f);
            float[] expected = mass(reference, queries, scene, rows, new int[] {0});
            assertArrayEquals(expected, mass(vector, queries, scene, rows, new int[] {0}), 1e-4f);
            assertEquals(2, IntStream.range(0, 130).filter(s -> expected[s] > 0.4f).count());
        }
    }
}
