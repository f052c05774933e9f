package dev.gyre.launcher;

import dev.gyre.model.checkpoint.LoadListener;

import java.io.PrintWriter;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * What a terminal shows while a model is loaded: nothing for a second, then how far it is, and in the end how fast the
 * weights came.
 */
final class LoadProgress implements LoadListener, AutoCloseable {
    private static final long PATIENCE = 1_000_000_000;
    private static final double GB = 1e9;

    private final PrintWriter err;
    private final LongSupplier clock;
    private long began;
    private long most;
    /** null while there is nothing to show. */
    private Progress progress;

    /** @param clock in nanoseconds */
    LoadProgress(PrintWriter err, LongSupplier clock) {
        this.err = err;
        this.clock = clock;
    }

    @Override
    public synchronized void mapped(int files, int of) {
        reach(files, of, 1, "files");
    }

    @Override
    public synchronized void loaded(long bytes, long of) {
        boolean slow = reach(bytes, of, 1 << 20, "MiB of weights");
        if (slow && bytes == of) {
            double seconds = (clock.getAsLong() - began) / 1e9;
            err.printf(Locale.ROOT, "[%.1f GB of weights in %.1f s, %.1f GB/s]%n", of / GB, seconds, of / GB / seconds);
            err.flush();
        }
    }

    /** Whether it takes long enough to show. */
    private boolean reach(long done, long of, long unit, String units) {
        if (done == 0) {
            began = clock.getAsLong();
            most = 0;
        }
        boolean slow = clock.getAsLong() - began >= PATIENCE;
        if (slow && done > most && done < of) {
            if (progress == null) {
                progress = new Progress(err, (int) Math.ceilDiv(of, unit), units);
            }
            most = done; // threads may report out of order
            progress.reach((int) (done / unit));
        }
        if (done == of) {
            close();
        }
        return slow;
    }

    /** Takes the line away, if there is one. */
    @Override
    public synchronized void close() {
        if (progress != null) {
            progress.close();
            progress = null;
        }
    }
}
