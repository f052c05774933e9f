package dev.gyre.model.generate;

import java.util.Map;

/**
 * Where the time of a decode step goes, a token of every sequence; in microseconds.
 *
 * @param host what is not measured apart: Java before, between and behind the runs of the device; the whole step where
 *     the decoder runs on the host, attention on a device included
 * @param launch a run of the device in which no kernel finds a row: starting the kernels and hearing that they ended
 * @param device what runs took beyond that, and fetching results; both are 0 where there is no device
 */
public record StepTime(double host, double launch, double device) {
    /**
     * From sums over steps, in nanoseconds.
     *
     * @param all of the steps
     * @param waited part of it that the host spent in the device's runs and in fetching results
     * @param launches part of {@code waited} that was measured as the time of empty runs
     */
    static StepTime of(long steps, double all, double waited, double launches) {
        double launch = Math.min(launches, waited);
        double each = 1e-3 / steps;
        return new StepTime((all - waited) * each, launch * each, (waited - launch) * each);
    }

    /** Adds the parts by the names that {@code engine bench} prints; those of a device only where there is one. */
    void putTo(Map<String, Object> fields, boolean onDevice) {
        fields.put("step_host_us", host);
        if (onDevice) {
            fields.put("step_launch_us", launch);
            fields.put("step_device_us", device);
        }
    }
}
