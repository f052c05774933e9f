package dev.gyre.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.io.PrintWriter;
import java.io.StringWriter;

/** What is said of loading, by a clock that the test turns. */
class LoadProgressTest {
    private final StringWriter err = new StringWriter();
    private long nanoseconds = 5_000_000_000L;
    private final LoadProgress progress = new LoadProgress(new PrintWriter(err), () -> nanoseconds);

    private void load(long of, double seconds) {
        progress.loaded(0, of);
        nanoseconds += (long) (seconds * 0.75e9);
        progress.loaded(of / 2, of);
        nanoseconds += (long) (seconds * 0.25e9);
        progress.loaded(of, of);
    }

    @Test
    void theRateWhereItTookLonger() {
        load(7_000_000_000L, 2);
        assertEquals("[7.0 GB of weights in 2.0 s, 3.5 GB/s]" + System.lineSeparator(), err.toString());
    }

    @Test
    void nothingWhereItDidNot() {
        load(7_000_000_000L, 0.9);
        assertEquals("", err.toString());
        load(9_000_000_000L, 3); // the clock starts again
        assertEquals("[9.0 GB of weights in 3.0 s, 3.0 GB/s]" + System.lineSeparator(), err.toString());
    }

    @Test
    void mappingReadsNothing() {
        progress.mapped(0, 163);
        nanoseconds += 3_000_000_000L;
        progress.mapped(80, 163);
        progress.mapped(163, 163);
        assertEquals("", err.toString());
    }
}
