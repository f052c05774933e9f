package dev.gyre.tornado.decoder;

import dev.gyre.model.ops.DeviceMeter;

import java.util.function.Supplier;
import java.util.stream.LongStream;

/**
 * Measures the runs of a recording.
 *
 * @param recording the one in use; gives null while there is none
 * @param idle runs it without a row
 */
record RecordingMeter(Supplier<Recording> recording, Runnable idle) implements DeviceMeter {
    @Override
    public long runs() {
        return recording.get() == null ? 0 : recording.get().runs();
    }

    @Override
    public long nanos() {
        return recording.get() == null ? 0 : recording.get().nanos();
    }

    @Override
    public void settle() {
        if (recording.get() != null) {
            idle.run();
        }
    }

    @Override
    public long launchNanos(int times) {
        return LongStream.generate(this::idleNanos).limit(times).sorted().skip(times / 2).findFirst().orElseThrow();
    }

    private long idleNanos() {
        long before = nanos();
        idle.run();
        return nanos() - before;
    }
}
