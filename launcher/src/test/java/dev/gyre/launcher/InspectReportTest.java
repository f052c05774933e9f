package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/** The bars of {@code engine inspect}'s histograms. */
class InspectReportTest {
    /** A long context has more scores than an int times the longest bar. */
    @Test
    void barsOfManyScores() {
        for (long most : new long[] {50, 60_000_000, 3_000_000_000L, 50_000_000_000_000L}) {
            assertEquals(50, InspectReport.bar(most, most));
            assertEquals(25, InspectReport.bar(most / 2, most));
            assertEquals(1, InspectReport.bar(1, most));
            assertEquals(0, InspectReport.bar(0, most));
        }
    }
}
