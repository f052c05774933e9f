package dev.gyre.attention;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.LockSupport;

/**
 * A fixed set of threads that share the numbered tasks of one call.
 *
 * <p>Tasks are numbered by what they compute (an output row block, a query row), never by how many threads there are,
 * and each writes its own output: results are therefore the same for any number of threads. The caller works too, and
 * a call allocates nothing, which the JDK's executors cannot offer; that is why this class exists.
 *
 * <p>Every thread begins with its own share of the tasks, the same part of the numbers in every call, and then takes
 * what others have left. So a thread finds the rows that it worked on before in its own caches, and threads seldom
 * write to the same memory: on a machine whose processors are far apart each such write takes as long as a small task.
 */
public final class WorkerPool implements AutoCloseable {
    /** How often a thread looks again before it sleeps: a decode step starts a new call every few microseconds. */
    private static final int SPINS = 2_000;

    /** Longs between the entries of {@link #open}: two cache lines, so that threads do not disturb each other. */
    private static final int APART = 16;

    private final Thread[] helpers;
    /** Whether a thread sleeps, or is about to: by worker; 0 is the caller. */
    private final AtomicIntegerArray asleep;
    /**
     * By worker, {@link #APART}: the number of the call in the upper half, and how many tasks of the worker's share
     * nobody has taken yet in the lower.
     */
    private final AtomicLongArray open;
    private final AtomicInteger done = new AtomicInteger();
    private volatile boolean closed;
    private volatile Thread caller;
    private volatile Throwable failure;
    private int call;
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
        asleep = new AtomicIntegerArray(threads);
        open = new AtomicLongArray(threads * APART);
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
        done.set(0);
        caller = Thread.currentThread();
        call++;
        for (int worker = 0; worker <= helpers.length; worker++) { // the caller's first: who is done helps with it
            int share = endOfShare(worker) - endOfShare(worker - 1);
            open.set(worker * APART, (long) call << 32 | share); // publishes the fields above
            if (share > 0 && asleep.get(worker) != 0) {
                LockSupport.unpark(helpers[worker - 1]);
            }
        }
        work(0);
        // only tasks are waited for, not threads: a helper that has no processor at the moment holds nobody up
        for (int spin = 0; done.get() < tasks; spin++) {
            if (spin < SPINS) {
                Thread.onSpinWait();
            } else {
                asleep.set(0, 1);
                if (done.get() < tasks) {
                    LockSupport.park(this);
                }
                asleep.set(0, 0);
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
        for (Thread helper : helpers) {
            LockSupport.unpark(helper);
        }
    }

    /** The first task behind a worker's share. */
    private int endOfShare(int worker) {
        return (int) ((worker + 1L) * tasks / threads());
    }

    private void help(int worker) {
        int own = worker * APART;
        while (!closed) {
            if ((int) open.get(own) != 0) {
                work(worker);
            }
            for (int spin = 0; (int) open.get(own) == 0 && !closed; spin++) {
                if (spin < SPINS) {
                    Thread.onSpinWait();
                } else {
                    asleep.set(worker, 1);
                    if ((int) open.get(own) == 0 && !closed) {
                        LockSupport.park(this);
                    }
                    asleep.set(worker, 0);
                }
            }
        }
    }

    /** Takes tasks as long as there are any, of the own share first. */
    private void work(int worker) {
        int ended = 0;
        for (int i = 0; i < threads(); i++) {
            int owner = (worker + i) % threads();
            long seen = open.get(owner * APART);
            while ((int) seen != 0) {
                if (open.compareAndSet(owner * APART, seen, seen - 1)) {
                    // the call cannot end before this task has: its fields are safe to read
                    try {
                        task.run(endOfShare(owner) - (int) seen, worker);
                    } catch (Throwable thrown) { // also what a task threw past the compiler: the caller waits for it
                        failure = thrown;
                        ended += giveUp();
                    }
                    ended++;
                }
                seen = open.get(owner * APART);
            }
        }
        if (ended > 0) { // until here the call could not end, so all of these are its tasks
            finish(ended);
        }
    }

    /** Takes what is left, so that the others stop at their next task; how many that were. */
    private int giveUp() {
        int left = 0;
        for (int owner = 0; owner < threads(); owner++) {
            left += (int) open.getAndUpdate(owner * APART, share -> share >> 32 << 32);
        }
        return left;
    }

    private void finish(int ended) {
        int expected = tasks; // before the last is done, or it may be the next call's
        Thread waiting = caller;
        if (done.addAndGet(ended) == expected && asleep.get(0) != 0) {
            LockSupport.unpark(waiting);
        }
    }
}
