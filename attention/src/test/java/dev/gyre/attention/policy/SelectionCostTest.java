package dev.gyre.attention.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Costs at the shape of DeepSeek-V3.2 with bf16 caches, worked out by hand. */
class SelectionCostTest {
    private static final LayerShape V32 = new LayerShape(128, 512, 64, 64, 128, 2048, 61, 1152, 256);

    private static SelectionCost cost(String spec, int context) {
        PolicyContext policies = new PolicyContext(
                null, null, new HostOperations(null, null, null), V32, IndexSharing.none(61), 1 << 20);
        return SelectionPolicies.create(spec, policies).cost(context);
    }

    /** A key costs 2 * 64 * 128 = 16,384 operations and 256 bytes, a mean 512 bytes. */
    @ParameterizedTest
    @CsvSource({
        "indexer, 131072, 2147483648, 33554432",
        "shared:freq=1, 131072, 2147483648, 33554432",
        // 1023 blocks before the last, 64 * 128 tokens
        "hisa, 131072, 150978560, 2620928",
        // the last block has one token, and the row 1023 before it
        "hisa, 130945, 148897792, 2588416",
        // 8192 tokens are all candidates; with one more there are 65 blocks
        "hisa, 8192, 134217728, 2097152",
        "hisa, 8193, 133185536, 2097408",
        // 1023 complete blocks, and 8 heads of 2,048 operations a token
        "misa, 131071, 285194240, 34077952",
        // 128 heads * 576 dimensions * 2
        "oracle, 131072, 19327352832, 150994944",
        "random, 131072, 0, 0",
        "recent, 131072, 0, 0",
        "dense, 131072, 0, 0",
    })
    void choosing(String spec, int context, double operations, double bytes) {
        SelectionCost cost = cost(spec, context);
        assertEquals(operations, cost.selectOperations());
        assertEquals(bytes, cost.selectBytes());
        int attended = spec.equals("dense") ? context : 2048;
        // 576 to score a token and 512 to add it up, for 128 heads
        assertEquals(attended * 128.0 * 2 * (576 + 512), cost.attendOperations());
        assertEquals(attended * 1152.0, cost.attendBytes());
        assertEquals(cost.selectOperations() + cost.attendOperations(), cost.operations());
        assertEquals(cost.selectBytes() + cost.attendBytes(), cost.bytes());
    }

    /** Layers 0, 1, 5, 9, ... 57 of 61 select: 16. */
    @ParameterizedTest
    @ValueSource(ints = {4096, 131072})
    void sharing(int context) {
        SelectionCost indexer = cost("indexer", context);
        SelectionCost shared = cost("shared", context);
        assertEquals(indexer.selectOperations() * 16 / 61, shared.selectOperations(), 1);
        assertEquals(indexer.selectBytes() * 16 / 61, shared.selectBytes(), 1);
        assertEquals(indexer.attendOperations(), shared.attendOperations());
    }

    @ParameterizedTest
    @ValueSource(strings = {"indexer", "shared", "hisa", "misa", "oracle", "recent", "random", "dense"})
    void nothingIsChosenAmongFewTokens(String spec) {
        assertEquals(cost("dense", 2048), cost(spec, 2048));
    }
}
