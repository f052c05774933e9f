package dev.gyre.tornado.decoder;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.attention.EngineException;
import dev.gyre.tornado.decoder.GraphCut.Kernel;
import dev.gyre.tornado.decoder.GraphCut.Limits;
import dev.gyre.tornado.decoder.GraphCut.Section;
import dev.gyre.tornado.graph.Call;
import dev.gyre.tornado.graph.DeviceArrays;
import dev.gyre.tornado.graph.KernelGraph;
import dev.gyre.tornado.kernels.CacheKernels;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Cuts of four sections of two kernels each, one of them for the beginning of its graph. */
class GraphCutTest {
    private final IntArray common = DeviceArrays.ints(1);
    private final IntArray input = DeviceArrays.ints(2);
    /** From the first section to the last but one, and not used between. */
    private final IntArray far = DeviceArrays.ints(4);
    private final List<IntArray> own = new ArrayList<>();
    private final List<Section> sections = new ArrayList<>();

    GraphCutTest() {
        for (int i = 0; i < 4; i++) {
            own.add(DeviceArrays.ints(8 << i));
            IntArray other = i == 0 || i == 2 ? far : input;
            Section section = new Section();
            section.ahead().add(kernel("ahead" + i, i));
            section.kernels().add(new Kernel(Call.of("then" + i, 1, 64, 0)
                    .kernel(CacheKernels::kScatterInts, common, other, input, own.get(i)), 1));
            sections.add(section);
        }
    }

    private Kernel kernel(String name, int section) {
        return new Kernel(Call.of(name, 1, 64, 0)
                .kernel(CacheKernels::kScatterInts, common, input, input, own.get(section)), 1);
    }

    private GraphCut cut(Limits limits) {
        return new GraphCut(sections, Set.of(input), common, limits);
    }

    private static List<List<String>> names(List<KernelGraph> graphs) {
        return graphs.stream().map(graph -> graph.calls().stream().map(Call::id).toList()).toList();
    }

    private static long bytes(IntArray... arrays) {
        long sum = 0;
        for (IntArray array : arrays) {
            sum += array.getNumBytesOfSegmentWithHeader();
        }
        return sum;
    }

    @Test
    void oneGraphWhereThereIsRoom() {
        List<KernelGraph> graphs = cut(Limits.TORNADO).graphs();
        assertEquals(List.of(List.of("ahead0", "ahead1", "ahead2", "ahead3", "then0", "then1", "then2", "then3")),
                names(graphs));
        assertEquals("decoder", graphs.getFirst().name());
        assertEquals(List.of(), graphs.getFirst().complaints());
    }

    @Test
    void everyArrayIsSentByTheFirstThatUsesIt() {
        GraphCut cut = cut(new Limits(2, 1024, 8192));
        List<KernelGraph> graphs = cut.graphs();
        assertEquals(List.of(List.of("ahead0", "then0"), List.of("ahead1", "then1"), List.of("ahead2", "then2"),
                List.of("ahead3", "then3")), names(graphs));
        graphs.forEach(graph -> assertEquals(List.of(), graph.complaints()));
        assertEquals(bytes(common, input, far, own.get(0)), graphs.get(0).deviceBytes());
        for (int i = 1; i < 4; i++) {
            assertEquals(bytes(own.get(i)), graphs.get(i).deviceBytes());
        }
        assertEquals(2, cut.graphOf(far));
        assertEquals(3, cut.graphOf(common));
        assertEquals(0, cut.graphOf(own.get(0)));
    }

    /**
     * The first section has 2 kernels that write 1 array each, 4 arrays and the kernel context: 2 + 2 + 2 + 3 * 5 nodes,
     * and 2 (15 + 5 * 5) bytes; two sections have 2 + 4 + 4 + 3 * 6 nodes.
     */
    @Test
    void everyLimitCuts() {
        int[] graphs = {4, 4, 2, 2};
        Limits[] limits = {new Limits(3, 1024, 8192), new Limits(256, 1024, 159), new Limits(256, 1024, 160),
            new Limits(256, 28, 8192)};
        for (int i = 0; i < limits.length; i++) {
            assertEquals(graphs[i], cut(limits[i]).graphs().size(), limits[i].toString());
        }
        assertEquals(4, cut(new Limits(256, 27, 8192)).graphs().size());
        assertEquals(4, cut(new Limits(256, 21, 80)).graphs().size());
        for (Limits small : List.of(new Limits(1, 1024, 8192), new Limits(256, 20, 8192), new Limits(256, 1024, 79))) {
            EngineException none = assertThrows(EngineException.class, () -> cut(small));
            assertTrue(none.getMessage().contains("takes 2 kernels, more than a graph"), none.getMessage());
        }
    }
}
