package dev.gyre.model.generate;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.model.layers.Decoder;
import dev.gyre.model.ops.Candidates;
import dev.gyre.model.ops.LogitRows;
import dev.gyre.model.ops.Step;
import dev.gyre.model.ops.StepObserver;

import java.util.Arrays;
import java.util.List;

/**
 * Runs a decoder over sequences: reserves their pages, cuts prompts into chunks, packs sequences into steps. How tokens
 * are cut and packed does not change any result. One thread at a time.
 */
public final class ModelRunner implements AutoCloseable {
    private final Decoder decoder;
    private final KvCache cache;
    private final int chunk;
    private final int context;
    private final Step step;
    private final Decoder.LogitSink deliver = this::deliver;
    /** How many tokens of each sequence of the call have been run. */
    private int[] done = new int[1];
    private Sink sink;
    private int[] wantedRows = new int[16];
    private int[] rowSequence = new int[16];
    private int[] rowPosition = new int[16];
    private int[] rowEnough = new int[16];

    /** Which positions' logits are wanted. */
    @FunctionalInterface
    public interface Wanted {
        /** Only the last of the tokens given. */
        Wanted LAST = (sequence, position, last) -> position == last;
        /** All of them. */
        Wanted ALL = (sequence, position, last) -> true;

        /**
         * @param sequence number of the sequence in the call
         * @param position in the sequence
         * @param last the position of the last token given
         */
        boolean test(int sequence, int position, int last);
    }

    /** Receives logits. */
    @FunctionalInterface
    public interface Sink {
        /**
         * @param sequence number of the sequence in the call
         * @param position of the token in its sequence
         * @param logits {@code [at, at + vocabulary)}; only valid during the call
         */
        void accept(int sequence, int position, float[] logits, int at);

        /** How many of a position's best tokens would be enough; 0 where all logits are needed. */
        default int enough(int sequence) {
            return 0;
        }

        /**
         * Receives the best tokens of a position in place of all logits, where {@link #enough} says that these would be
         * enough and the model is on a device that finds them.
         *
         * @param best {@link #enough} of them or more, or as many as there are; only valid during the call
         */
        default void best(int sequence, int position, Candidates best) {
            throw new IllegalStateException("all logits are needed");
        }
    }

    /**
     * @param chunk the most tokens of a step
     * @param context the most tokens of a sequence
     */
    public ModelRunner(Decoder decoder, KvCache cache, int chunk, int context) {
        this.decoder = decoder;
        this.cache = cache;
        this.chunk = chunk;
        this.context = context;
        step = new Step(cache);
    }

    /** The caches that sequences lie in. */
    public KvCache cache() {
        return cache;
    }

    /** A new, empty sequence. */
    public Sequence start() {
        return new Sequence(new PageTable(), 0);
    }

    /** A sequence on pages that someone else takes and gives back, of which {@code length} tokens are cached. */
    public Sequence resume(PageTable pages, int length) {
        return new Sequence(pages, length);
    }

    /** Gives a sequence's pages back; it must not be used again. */
    public void end(Sequence sequence) {
        cache.pool().release(sequence.pages());
    }

    /** Appends tokens to each sequence. */
    public void run(List<Sequence> sequences, int[][] tokens, Wanted wanted, Sink sink) {
        run(sequences, tokens, wanted, sink, StepObserver.NONE);
    }

    /**
     * Appends tokens to each sequence. Where they do not fit nothing is appended; where a step fails, what the steps
     * before it ran stays.
     *
     * @param tokens for each sequence what follows, at least one token
     */
    public void run(List<Sequence> sequences, int[][] tokens, Wanted wanted, Sink sink, StepObserver observer) {
        for (int s = 0; s < sequences.size(); s++) {
            check(sequences.get(s).length(), tokens[s]);
        }
        for (int s = 0; s < sequences.size(); s++) {
            Sequence sequence = sequences.get(s);
            cache.pool().reserve(sequence.pages(), sequence.length() + tokens[s].length);
        }
        if (done.length < tokens.length) {
            done = new int[tokens.length];
        }
        Arrays.fill(done, 0);
        this.sink = sink;
        int first = 0;
        while (first < tokens.length) {
            first = runStep(sequences, tokens, first, wanted, observer);
        }
    }

    /** One step over the sequences from {@code first} on, as far as the chunk reaches; the first that is not done. */
    private int runStep(
            List<Sequence> sequences,
            int[][] tokens,
            int first,
            Wanted wanted,
            StepObserver observer) {
        step.clear(observer);
        int outputs = 0;
        int s = first;
        for (int room = chunk; s < tokens.length && room > 0; ) {
            Sequence sequence = sequences.get(s);
            int count = Math.min(room, tokens[s].length - done[s]);
            int position = sequence.length();
            int last = position + tokens[s].length - done[s] - 1;
            int row = step.rows().rows();
            step.add(sequence.pages(), position, tokens[s], done[s], done[s] + count);
            for (int i = 0; i < count; i++) {
                if (wanted.test(s, position + i, last)) {
                    remember(outputs++, row + i, s, position + i);
                }
            }
            done[s] += count;
            room -= count;
            if (done[s] == tokens[s].length) {
                s++;
            }
        }
        decoder.forward(step);
        extend(sequences, first);
        decoder.logits(wantedRows, rowEnough, outputs, deliver);
        return s;
    }

    private void deliver(int output, LogitRows logits, int row) {
        Candidates best = logits.best(row);
        if (best == null) {
            int at = row * decoder.config().vocabulary();
            sink.accept(rowSequence[output], rowPosition[output], logits.all(), at);
        } else {
            sink.best(rowSequence[output], rowPosition[output], best);
        }
    }

    /**
     * Makes a sequence as long as if {@code tokens} more tokens had been run, with random numbers in its caches: what a
     * benchmark at depth needs, without the time to run them.
     */
    public void fill(Sequence sequence, int tokens, long seed) {
        if (tokens > context - sequence.length()) {
            throw new EngineException("a depth of " + tokens + " is beyond the context of " + context + " tokens.");
        }
        cache.pool().reserve(sequence.pages(), sequence.length() + tokens);
        cache.randomize(sequence.pages(), sequence.length(), sequence.length() + tokens, seed);
        sequence.extend(tokens);
    }

    /** Frees the caches; their sequences are void. */
    @Override
    public void close() {
        cache.close();
    }

    /** Only what was run counts: after a failure the sequences are as long as before the step. */
    private void extend(List<Sequence> sequences, int first) {
        for (int row = 0; row < step.rows().rows(); row++) {
            sequences.get(first + step.rows().sequence(row)).extend(1);
        }
    }

    private void remember(int output, int row, int sequence, int position) {
        if (output == wantedRows.length) {
            wantedRows = Arrays.copyOf(wantedRows, output * 2);
            rowSequence = Arrays.copyOf(rowSequence, output * 2);
            rowPosition = Arrays.copyOf(rowPosition, output * 2);
            rowEnough = Arrays.copyOf(rowEnough, output * 2);
        }
        wantedRows[output] = row;
        rowSequence[output] = sequence;
        rowPosition[output] = position;
        rowEnough[output] = sink.enough(sequence);
    }

    private void check(int length, int[] tokens) {
        if (tokens.length == 0) {
            throw new EngineException("there are no tokens to run; give a prompt of at least one token.");
        }
        if (tokens.length > context - length) {
            throw new EngineException("the prompt of " + (length + (long) tokens.length)
                    + " tokens is longer than the context of " + context + "; shorten it or raise --context-length.");
        }
        int vocabulary = decoder.config().vocabulary();
        for (int token : tokens) {
            if (token < 0 || token >= vocabulary) {
                throw new EngineException(
                        "token " + token + " is not in the vocabulary: ids go from 0 to " + (vocabulary - 1) + ".");
            }
        }
    }
}
