package dev.gyre.attention;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * A fixed set of threads that share the numbered tasks of one call.
 *
 * <p>Tasks are numbered by what they compute (an output row block, a query row), never by how many threads there are,
 * and each writes its own output: results are therefore the same for any number of threads. The caller works too, and
 * a call allocates nothing, which the JDK's executors cannot offer; that is why this class exists.
 */
public final class WorkerPool implements AutoCloseable {
    /** How often a thread looks again before it sleeps: a decode step starts a new call every few microseconds. */
    private static final int SPINS = 2_000;

    private final Thread[] helpers;
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicInteger running = new AtomicInteger();
    private volatile int call;
    private volatile boolean closed;
    private volatile Thread caller;
    private volatile Throwable failure;
    private Task task;
    private int tasks;

    /** One task of a call. */
    @FunctionalInterface
    public interface Task {
        /**
         * @param index which task, in [0, tasks)
         * @param worker which thread runs it, in [0, {@link WorkerPool#threads()}): an index for scratch memory
         */
        void run(int index, int worker);
    }

    /** @param threads how many threads work on a call, the caller included; at least 1 */
    public WorkerPool(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads must be at least 1, not " + threads);
        }
        helpers = new Thread[threads - 1];
        for (int i = 0; i < helpers.length; i++) {
            int worker = i + 1;
            helpers[i] = Thread.ofPlatform().daemon().name("gyre-worker-" + worker).start(() -> help(worker));
        }
    }

    /** How many threads work on a call, the caller included. */
    public int threads() {
        return helpers.length + 1;
    }

    /** Runs {@code task} for every index in [0, tasks) and returns when all have ended; rethrows a failure. */
    public synchronized void run(int tasks, Task task) {
        if (closed) {
            throw new IllegalStateException("the threads have ended; is the engine closed?");
        }
        if (tasks <= 1 || helpers.length == 0) {
            for (int i = 0; i < tasks; i++) {
                task.run(i, 0);
            }
            return;
        }
        this.task = task;
        this.tasks = tasks;
        failure = null;
        next.set(0);
        running.set(helpers.length);
        caller = Thread.currentThread();
        call++; // volatile write: publishes the fields above
        for (Thread helper : helpers) {
            LockSupport.unpark(helper);
        }
        work(0);
        for (int spin = 0; running.get() > 0; spin++) {
            if (spin < SPINS) {
                Thread.onSpinWait();
            } else {
                LockSupport.park(this);
            }
        }
        this.task = null;
        Throwable thrown = failure;
        if (thrown instanceof Error error) {
            throw error;
        }
        if (thrown instanceof RuntimeException exception) {
            throw exception;
        }
        if (thrown != null) {
            throw new IllegalStateException(thrown);
        }
    }

    /** Ends the threads; a call in flight ends first. */
    @Override
    public synchronized void close() {
        closed = true;
        call++;
        for (Thread helper : helpers) {
            LockSupport.unpark(helper);
        }
    }

    private void help(int worker) {
        int seen = 0;
        while (true) {
            for (int spin = 0; call == seen; spin++) {
                if (spin < SPINS) {
                    Thread.onSpinWait();
                } else {
                    LockSupport.park(this);
                }
            }
            seen = call;
            if (closed) {
                return;
            }
            work(worker);
            if (running.decrementAndGet() == 0) {
                LockSupport.unpark(caller);
            }
        }
    }

    private void work(int worker) {
        Task current = task;
        int count = tasks;
        try {
            for (int i = next.getAndIncrement(); i < count; i = next.getAndIncrement()) {
                current.run(i, worker);
            }
        } catch (Throwable thrown) { // also what a task threw past the compiler: the caller waits for this thread
            next.set(count); // the others stop at their next task
            failure = thrown;
        }
    }
}
