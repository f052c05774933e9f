package dev.gyre.launcher;

import java.io.Console;
import java.io.PrintWriter;

/** A line on a terminal that says how far a long command is; silent where stderr goes elsewhere. */
final class Progress {
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

    void reach(int done) {
        if (shown) {
            err.printf("\r%d of %d %s", done, total, unit);
            err.flush();
        }
    }

    void end() {
        if (shown) {
            err.print("\r\u001b[K");
            err.flush();
        }
    }
}
