package dev.gyre.model.engine;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.function.Predicate;

/** Where requests wait, in the order in which they came; the door between callers and the {@link Scheduler}. */
final class RequestQueue {
    private final int most;
    private final LinkedHashSet<Job> jobs = new LinkedHashSet<>();
    private final List<Runnable> tasks = new ArrayList<>();
    private boolean woken;
    private boolean draining;
    private boolean closed;
    private boolean idle;
    /** Seconds that a request takes, of those that ended lately; for the guess when to try again. */
    private double secondsOfOne = 1;

    RequestQueue(int most) {
        this.most = most;
    }

    /** Adds all of them or none. */
    synchronized void add(List<Job> more, int maxRunning) {
        if (closed || draining) {
            throw RejectedException.isStopping();
        }
        if (jobs.size() + more.size() > most) {
            double seconds = (jobs.size() + more.size()) * secondsOfOne / maxRunning;
            throw RejectedException.full(jobs.size(), (int) Math.clamp(Math.ceil(seconds), 1, 60));
        }
        jobs.addAll(more);
        idle = false;
        wake();
    }

    synchronized void ended(double seconds) {
        secondsOfOne += (seconds - secondsOfOne) / 8;
    }

    synchronized void remove(Job job) {
        jobs.remove(job);
    }

    synchronized List<Job> first(int count) {
        return jobs.stream().limit(count).toList();
    }

    /** Removes those for which the test, which is called without the lock, says so. */
    void removeIf(Predicate<Job> test) {
        List<Job> all;
        synchronized (this) {
            if (jobs.isEmpty()) {
                return;
            }
            all = List.copyOf(jobs);
        }
        List<Job> gone = all.stream().filter(test).toList();
        synchronized (this) {
            gone.forEach(jobs::remove);
        }
    }

    synchronized int size() {
        return jobs.size();
    }

    /** Has the scheduler do something between two steps. */
    synchronized void task(Runnable task) {
        if (closed) {
            throw RejectedException.isStopping();
        }
        tasks.add(task);
        wake();
    }

    synchronized List<Runnable> tasks() {
        List<Runnable> all = List.copyOf(tasks);
        tasks.clear();
        return all;
    }

    synchronized void wake() {
        woken = true;
        notifyAll();
    }

    /** Waits while there is nothing to do; false once it is over. */
    synchronized boolean awaitWork(boolean nothingRuns) {
        while (nothingRuns && jobs.isEmpty() && tasks.isEmpty() && !woken && !closed) {
            idle = true;
            notifyAll();
            try {
                wait();
            } catch (InterruptedException e) {
                closed = true; // nobody but close() has this thread
            }
        }
        idle = false;
        woken = false;
        return !closed;
    }

    /** Takes no more requests; waits until all are done, at most this long. */
    synchronized boolean drain(long nanos) throws InterruptedException {
        draining = true;
        long end = System.nanoTime() + nanos;
        while (!(idle && jobs.isEmpty())) {
            long left = (end - System.nanoTime()) / 1_000_000;
            if (left <= 0 || closed) {
                return false;
            }
            wait(left);
        }
        return true;
    }

    /** Has the scheduler end. */
    synchronized void stop() {
        draining = true;
        closed = true;
        wake();
    }

    /** Takes nothing more; those that still wait are returned. */
    synchronized List<Job> close() {
        stop();
        List<Job> left = List.copyOf(jobs);
        jobs.clear();
        return left;
    }

    synchronized boolean isDraining() {
        return draining;
    }
}
