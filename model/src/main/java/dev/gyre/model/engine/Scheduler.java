package dev.gyre.model.engine;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.LayerStep;
import dev.gyre.attention.QueryRows;
import dev.gyre.attention.Selection;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.attention.cache.PrefixCache;
import dev.gyre.model.Model;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.Sequence;
import dev.gyre.model.ops.Candidates;
import dev.gyre.model.ops.StepObserver;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/**
 * Continuous batching: between two steps requests come and go. A round is one chunk of prompts, shared evenly by all
 * sequences that still have one, so that a short prompt does not wait for a long one; and then one token for every
 * sequence that is past its prompt. Both are steps of their own, since attention may be served by different
 * implementations in either. What is computed together does not change any result.
 *
 * <p>One thread runs this; it alone touches the model, the caches and the jobs.
 */
final class Scheduler {
    /** How far the queue is searched for a request whose prefix is not being computed at this moment. */
    private static final int LOOK_AHEAD = 64;

    private final Model model;
    private final ModelRunner runner;
    private final PrefixCache prefixes;
    private final RequestQueue queue;
    private final EngineListener listener;
    private final int maxRunning;
    private final int chunk;
    private final List<Job> running = new ArrayList<>();
    private volatile int runningCount;
    private final TokenRate rate = new TokenRate();

    Scheduler(Model model, ModelRunner runner, RequestQueue queue, EngineOptions options, EngineListener listener) {
        this.model = model;
        this.runner = runner;
        this.queue = queue;
        this.listener = listener;
        prefixes = new PrefixCache(runner.cache(), options.prefixCache());
        maxRunning = options.maxRunning();
        chunk = options.model().prefillChunk();
    }

    /** Works until the queue says that it is over. */
    void run() {
        try {
            while (queue.awaitWork(running.isEmpty())) {
                round();
                runningCount = running.size();
            }
        } finally { // whatever happened: nobody may wait for what will not come
            queue.tasks().forEach(Runnable::run);
            running.addAll(queue.close());
            for (Job job : running) {
                job.stream.add(new StreamEvent.Failed(
                        StreamEvent.Cause.STOPPED, "the engine was stopped before the text was complete."));
                giveBack(job, false);
            }
            running.clear();
            runningCount = 0;
        }
    }

    private void round() {
        try {
            queue.tasks().forEach(Runnable::run);
            long now = System.nanoTime();
            queue.removeIf(job -> gaveUp(job, now));
            running.removeIf(job -> gaveUp(job, now));
            admit();
            prefill();
            decode();
        } catch (RuntimeException | Error e) {
            if (running.isEmpty()) { // then it was the request at the door, which would be there again the next time
                running.addAll(queue.first(1));
                running.forEach(queue::remove);
            }
            fail(running, StreamEvent.Cause.BROKEN, sentence(e));
            running.clear();
        }
    }

    private static String sentence(Throwable e) {
        return e instanceof EngineException ? e.getMessage() : "this is a defect in Gyre: " + e + ".";
    }

    /** Lets requests in, in the order in which they came, as long as each of them can finish. */
    private void admit() {
        List<Job> waiting = running.size() < maxRunning ? queue.first(LOOK_AHEAD) : List.of();
        for (Job job : waiting) {
            if (running.size() == maxRunning) {
                return;
            }
            int limit = job.promptLength() - 1; // the last token's logits are wanted, so it must run
            if (!prefixes.isEnabled() || !isBeingComputed(job, limit)) {
                job.claim = prefixes.claim(job.tokens(), limit, job.mostTokens);
                if (job.claim == null) {
                    return; // those behind it do not overtake: it would wait forever
                }
                queue.remove(job);
                job.sequence = runner.resume(job.claim.table(), job.claim.reused());
                running.add(job);
                listener.admitted(job.promptLength(), job.claim.reused(), (System.nanoTime() - job.submitted) * 1e-9);
            }
        }
    }

    /** Whether a running sequence is about to compute pages that this job begins with: then it waits for them. */
    private boolean isBeingComputed(Job job, int limit) {
        int cached = -1;
        for (Job other : running) {
            if (!other.decodes()) {
                int most = Math.min(limit, other.promptLength());
                int common = Arrays.mismatch(job.tokens(), 0, most, other.tokens(), 0, most);
                int pages = (common < 0 ? most : common) / PageTable.PAGE * PageTable.PAGE;
                if (pages > other.sequence.length()) {
                    cached = cached < 0 ? prefixes.cached(job.tokens(), limit) : cached;
                    if (pages > cached) {
                        return true;
                    }
                }
            }
        }
        return false;
    }

    /** Runs the next chunk of prompts. */
    private void prefill() {
        List<Job> jobs = running.stream().filter(job -> !job.decodes()).limit(chunk).toList();
        if (jobs.isEmpty()) {
            return;
        }
        int[] counts = shares(jobs);
        int[][] tokens = new int[counts.length][];
        for (int i = 0; i < counts.length; i++) {
            int from = jobs.get(i).sequence.length();
            tokens[i] = Arrays.copyOfRange(jobs.get(i).tokens(), from, from + counts[i]);
        }
        step(jobs, tokens);
    }

    /**
     * How many tokens of each prompt the next chunk has: an even share, and what some do not need goes to those before
     * others. Unless a prompt ends with this chunk: then its first token is not kept waiting by fillers.
     */
    private int[] shares(List<Job> jobs) {
        int[] counts = new int[jobs.size()];
        int room = chunk;
        boolean ends = false;
        for (int share = chunk / counts.length; room > 0 && share > 0 && !ends; ) {
            int before = room;
            for (int i = 0; i < counts.length; i++) {
                int left = jobs.get(i).promptLength() - jobs.get(i).sequence.length() - counts[i];
                int more = Math.min(Math.min(share, left), room);
                counts[i] += more;
                room -= more;
                ends |= more == left;
            }
            share = room == before ? 0 : room;
        }
        return counts;
    }

    /** Runs one token of every sequence that is past its prompt. */
    private void decode() {
        List<Job> jobs = running.stream().filter(Job::decodes).toList();
        if (!jobs.isEmpty()) {
            int[][] tokens = new int[jobs.size()][];
            Arrays.setAll(tokens, i -> new int[] {jobs.get(i).text.last()});
            step(jobs, tokens);
        }
    }

    private void step(List<Job> jobs, int[][] tokens) {
        List<Sequence> sequences = jobs.stream().map(job -> job.sequence).toList();
        for (int i = 0; i < tokens.length; i++) {
            prefixes.reserve(jobs.get(i).claim, sequences.get(i).length() + tokens[i].length);
        }
        Draw draw = new Draw(jobs);
        List<Job> broken = draw.broken;
        boolean watched = jobs.stream().anyMatch(job -> job.request.selections() && !job.decodes());
        try {
            runner.run(
                    sequences,
                    tokens,
                    (s, position, last) -> position >= jobs.get(s).promptLength() - 1,
                    draw,
                    watched ? watcher(jobs) : StepObserver.NONE);
        } catch (RuntimeException | Error e) {
            broken.forEach(running::remove);
            List<Job> lost = jobs.stream().filter(job -> !broken.contains(job)).toList();
            fail(lost, StreamEvent.Cause.BROKEN, sentence(e));
            running.removeAll(lost);
            return;
        }
        rate.add(draw.drawn);
        running.removeAll(broken);
        for (Job job : jobs) {
            if (job.text.finishReason() != null && !broken.contains(job)) {
                running.remove(job);
                end(job);
            } else if (!broken.contains(job)) {
                prefixes.share(job.claim, job.tokens(), job.sequence.length());
            }
        }
    }

    /** Draws the next token of each job of a step. */
    private final class Draw implements ModelRunner.Sink {
        private final List<Job> jobs;
        private final List<Job> broken = new ArrayList<>();
        private int drawn;

        private Draw(List<Job> jobs) {
            this.jobs = jobs;
        }

        @Override
        public void accept(int sequence, int position, float[] logits, int at) {
            draw(jobs.get(sequence), job -> job.accept(logits, at, listener));
        }

        @Override
        public int enough(int sequence) {
            return jobs.get(sequence).enough();
        }

        @Override
        public void best(int sequence, int position, Candidates best) {
            draw(jobs.get(sequence), job -> job.accept(best, listener));
        }

        private void draw(Job job, Consumer<Job> next) {
            try {
                next.accept(job);
                drawn++;
            } catch (EngineException e) { // one text's numbers; the others go on
                fail(List.of(job), StreamEvent.Cause.BROKEN, e.getMessage());
                broken.add(job);
            }
        }
    }

    /** Keeps what was selected for the last token of prompts. */
    private static StepObserver watcher(List<Job> jobs) {
        return new StepObserver() {
            @Override
            public void selected(LayerStep layer, Selection selection) {
                QueryRows rows = layer.rows();
                for (int row = 0; row < rows.rows(); row++) {
                    Job job = jobs.get(rows.sequence(row));
                    if (job.request.selections() && rows.position(row) == job.promptLength() - 1) {
                        List<int[]> layers = new ArrayList<>(job.stream.selections());
                        layers.add(selection.chosen(rows, row));
                        job.stream.setSelections(List.copyOf(layers));
                    }
                }
            }
        };
    }

    /** Ends a job that nobody waits for any more. */
    private boolean gaveUp(Job job, long now) {
        if (job.stream.isCancelled()) {
            end(job);
        } else if (job.expired(now)) {
            fail(List.of(job), StreamEvent.Cause.TIMEOUT, "the request took longer than its "
                    + job.request.timeout().toMillis() / 1000.0 + " seconds.");
        } else {
            return false;
        }
        return true;
    }

    private void end(Job job) {
        giveBack(job, true);
        job.stream.add(new StreamEvent.End(job.result()));
        ended(job, job.text.finishReason() != null);
    }

    private void fail(List<Job> jobs, StreamEvent.Cause cause, String sentence) {
        for (Job job : jobs) {
            giveBack(job, false);
            job.stream.add(new StreamEvent.Failed(cause, sentence));
            ended(job, false);
        }
    }

    private void ended(Job job, boolean whole) {
        double seconds = (System.nanoTime() - job.submitted) * 1e-9;
        queue.ended(seconds);
        listener.ended(job.text.count(), whole, seconds);
    }

    /** @param sound whether what it computed may serve others */
    private void giveBack(Job job, boolean sound) {
        if (job.sequence != null) {
            prefixes.release(job.claim, job.tokens(), sound ? job.sequence.length() : 0);
            job.sequence = null;
        }
    }

    /** Whether a job of this length can ever be let in. */
    boolean fits(int tokens) {
        return prefixes.fits(tokens);
    }

    /** Gives up what no sequence uses. On the scheduler's thread. */
    void flush() {
        prefixes.clear();
    }

    EngineStats stats() {
        int page = PageTable.PAGE;
        return new EngineStats(
                runningCount,
                queue.size(),
                runner.cache().pool().size() * page,
                prefixes.pagesInUse() * page,
                prefixes.pagesKept() * page,
                prefixes.evictions(),
                rate.perSecond());
    }
}
