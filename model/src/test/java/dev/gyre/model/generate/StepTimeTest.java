package dev.gyre.model.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.util.LinkedHashMap;
import java.util.Map;

/** How a step's time is divided. */
class StepTimeTest {
    @Test
    void partsOfAStep() {
        // four steps of 10 us, in which the host waited 7 us, 2 of them for launches
        assertEquals(new StepTime(3, 2, 5), StepTime.of(4, 40_000, 28_000, 8_000));
        assertEquals(new StepTime(3, 7, 0), StepTime.of(4, 40_000, 28_000, 29_000), "an empty run seldom takes longer");
        assertEquals(new StepTime(10, 0, 0), StepTime.of(4, 40_000, 0, 0), "without a device");
    }

    @Test
    void onlyWhatWasMeasuredIsShown() {
        StepTime step = new StepTime(3, 2, 5);
        Map<String, Object> fields = new LinkedHashMap<>();
        step.putTo(fields, false);
        assertEquals(Map.of("step_host_us", 3.0), fields);
        step.putTo(fields, true);
        assertEquals(Map.of("step_host_us", 3.0, "step_launch_us", 2.0, "step_device_us", 5.0), fields);
    }
}
