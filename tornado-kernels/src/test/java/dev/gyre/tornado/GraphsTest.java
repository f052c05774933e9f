package dev.gyre.tornado;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.IndexQueries;
import dev.gyre.attention.MlaQueries;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.CacheKernels;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.ArrayList;
import java.util.List;

/** Walks every graph without a device: TornadoVM itself reports none of these mistakes. */
class GraphsTest {
    private static List<KernelGraph> all(CacheDtype dtype, boolean tensorCores) {
        List<KernelGraph> graphs = new ArrayList<>();
        try (KvCache cache = new KvCache(1, new CacheShape(512, 64, 128), dtype, 4096)) {
            MlaQueries mla = new MlaQueries(new float[0], 128, 512, 64, 0.1f);
            graphs.addAll(new LatentPlan(cache.latents(0), mla, 2048, tensorCores).graphs());
            IndexQueries index = new IndexQueries(new float[0], new float[0], 64, 128);
            graphs.addAll(new ScorePlan(cache.indexKeys(0), index, 4096, tensorCores).graphs());
        }
        graphs.addAll(prologues(dtype));
        graphs.add(new TopKPlan(16, 2048, 4096, 1024).graph());
        graphs.add(new TopKPlan(16, 2048, 163_840, 1024).graph());
        return graphs;
    }

    /** DeepSeek-V3.2's, with the rotation of index keys and queries and without it. */
    private static List<KernelGraph> prologues(CacheDtype dtype) {
        List<KernelGraph> graphs = new ArrayList<>();
        try (KvCache cache = new KvCache(1, new CacheShape(512, 64, 128), dtype, 4096)) {
            MirroredLatents latents = new MirroredLatents(cache.latents(0));
            MirroredKeys keys = new MirroredKeys(cache.indexKeys(0));
            Rows rows = Rows.allocate(16, 4096);
            FloatArray norm = DeviceArrays.floats(512);
            FloatArray keyNorm = DeviceArrays.floats(128);
            FloatArray bias = DeviceArrays.floats(128);
            FloatArray angles = DeviceArrays.floats(4096 * 64);
            graphs.add(new LatentPrologue(rows, cache.latents(0).shape(), dtype, 128, 128, true, norm, angles)
                    .graph(latents.mirror()));
            for (boolean hadamard : new boolean[] {false, true}) {
                IndexPrologue.Shape shape = new IndexPrologue.Shape(64, 128, 64, false, hadamard);
                graphs.add(new IndexPrologue(rows, shape, dtype, keyNorm, bias, angles).graph(keys.mirror()));
            }
            graphs.add(AppendRows.latents(rows, latents).graph(latents.mirror()));
            graphs.add(AppendRows.keys(rows, keys).graph(keys.mirror()));
        }
        return graphs;
    }

    @Test
    void everyGraphCanRun() {
        for (CacheDtype dtype : CacheDtype.values()) {
            for (boolean tensorCores : new boolean[] {false, true}) {
                List<KernelGraph> graphs = all(dtype, tensorCores);
                assertEquals(13, graphs.size());
                for (KernelGraph graph : graphs) {
                    assertEquals(List.of(), graph.complaints(), graph.name());
                    assertTrue(graph.deviceBytes() > 0);
                }
            }
        }
        // the tensor cores' kernels must be among those that were walked
        assertEquals(4, all(CacheDtype.BF16, true).get(1).calls().size());
        assertEquals(64, all(CacheDtype.FP8_E4M3, true).get(4).calls().getFirst().grid().threads());
    }

    private static KernelGraph broken(int blocks, int threads, int localBytes, boolean sent) {
        IntArray a = DeviceArrays.ints(2);
        IntArray b = DeviceArrays.ints(2);
        IntArray c = DeviceArrays.ints(2);
        IntArray d = DeviceArrays.ints(2);
        KernelGraph graph = new KernelGraph("g").always(a, b, c);
        if (sent) {
            graph.once(d);
        }
        return graph.then(Call.of("k", blocks, threads, localBytes).kernel(CacheKernels::kScatterInts, a, b, c, d));
    }

    @Test
    void mistakesAreFound() {
        assertEquals(List.of(), broken(1, 64, 48 << 10, true).complaints());
        assertEquals(List.of("g.k: array argument 3 is never sent to the device."),
                broken(1, 64, 0, false).complaints());
        assertEquals(List.of("g.k: the grid is empty."), broken(0, 64, 0, true).complaints());
        assertEquals(List.of("g.k: a block of 2048 threads is larger than 1024."), broken(1, 2048, 0, true).complaints());
        assertEquals(List.of("g.k: 49153 bytes of local memory are more than 49152."),
                broken(1, 64, (48 << 10) + 1, true).complaints());
        assertEquals(List.of("g.k: 2560000000 threads are more than an int holds."),
                broken(10_000_000, 256, 0, true).complaints());
        assertEquals(List.of("g: a result is never on the device."),
                broken(1, 64, 0, true).results(DeviceArrays.ints(1)).complaints());
    }
}
