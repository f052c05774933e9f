package dev.gyre.launcher;

import java.io.Console;
import java.io.PrintWriter;

/** A line on a terminal that says how far a long command is; silent where stderr goes elsewhere. */
public final class Progress implements AutoCloseable {
    private static final int WIDTH = 20;

    private final PrintWriter err;
    private final int total;
    private final String unit;
    private final boolean shown;

    Progress(PrintWriter err, int total, String unit) {
        this.err = err;
        this.total = total;
        this.unit = unit;
        Console console = System.console();
        shown = console != null && console.isTerminal();
    }

    /** Shows how much is done. */
    public void reach(int done) {
        reach(done, "");
    }

    /** The same with what is under way. */
    public void reach(int done, String what) {
        if (shown) {
            int filled = (int) ((long) WIDTH * done / total);
            String bar = "#".repeat(filled) + ".".repeat(WIDTH - filled);
            err.printf("\r\u001b[K[%s] %d of %d %s%s", bar, done, total, unit, what.isEmpty() ? "" : ": " + what);
            err.flush();
        }
    }

    /** Takes the line away. */
    @Override
    public void close() {
        if (shown) {
            err.print("\r\u001b[K");
            err.flush();
        }
    }
}
