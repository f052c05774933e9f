package dev.gyre.attention;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;

@Timeout(60)
class WorkerPoolTest {
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 7})
    void everyTaskRunsOnce(int threads) {
        try (WorkerPool pool = new WorkerPool(threads)) {
            for (int call = 0; call < 3_000; call++) {
                AtomicIntegerArray runs = new AtomicIntegerArray(call % 41);
                pool.run(runs.length(), (index, worker) -> {
                    assertTrue(worker >= 0 && worker < threads);
                    runs.incrementAndGet(index);
                });
                int[] ones = new int[runs.length()];
                Arrays.fill(ones, 1);
                int[] found = new int[ones.length];
                for (int i = 0; i < found.length; i++) {
                    found[i] = runs.get(i);
                }
                assertArrayEquals(ones, found);
            }
        }
    }

    @Test
    void aFailureReachesTheCallerAndThePoolLivesOn() {
        try (WorkerPool pool = new WorkerPool(3)) {
            for (int i = 0; i < 100; i++) {
                EngineException thrown = assertThrows(EngineException.class, () -> pool.run(50, (index, worker) -> {
                    if (index == 17) {
                        throw new EngineException("seventeen");
                    }
                }));
                assertEquals("seventeen", thrown.getMessage());
                pool.run(5, (index, worker) -> {});
            }
        }
    }

    /** The first task, of the caller's share, waits for all others: also for those of its own share. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void theOthersTakeWhatAThreadThatIsHeldUpHasLeft(int threads) {
        try (WorkerPool pool = new WorkerPool(threads)) {
            for (int call = 0; call < 200; call++) {
                AtomicInteger ended = new AtomicInteger();
                pool.run(20, (index, worker) -> {
                    while (index == 0 && ended.get() < 19) {
                        Thread.onSpinWait();
                    }
                    ended.incrementAndGet();
                });
                assertEquals(20, ended.get());
            }
        }
    }
}
