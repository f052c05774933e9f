package dev.gyre.tornado.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** How {@link MmaMlaSums} divides rows into runs. */
class MmaMlaSumsTest {
    /** A run without tokens would read slots that nobody wrote. */
    @Test
    void runsCoverARowAndNoneIsEmpty() {
        for (int rows = 1; rows < 200; rows++) {
            for (int k = 128; k <= 8192; k += 128) {
                int runs = MmaMlaSums.runs(rows, k);
                int tokens = MmaMlaSums.runTokens(rows, k);
                String what = rows + " rows of " + k + ": " + runs + " runs of " + tokens;
                assertEquals(0, tokens % 128, what);
                assertTrue(tokens <= 2048 && runs * tokens >= k && (runs - 1) * tokens < k, what);
            }
        }
    }
}
