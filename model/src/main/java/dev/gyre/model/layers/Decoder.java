package dev.gyre.model.layers;

import dev.gyre.attention.QueryRows;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.checkpoint.WeightSource;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.LogitRows;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.RopeTable;
import dev.gyre.model.ops.Step;
import dev.gyre.model.ops.Tensor;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A DeepSeek-V3-family decoder: embedding, layers, final norm, head. Holds the activations of the step in flight, so
 * one thread at a time.
 */
public final class Decoder {
    /** Rows whose logits are computed at a time: 64 rows of 129,280 logits are 33 MB. */
    private static final int LOGIT_ROWS = 64;

    private final ModelConfig config;
    private final Weight embedding;
    private final List<DecoderLayer> layers = new ArrayList<>();
    private final Weight norm;
    private final Weight head;
    private final Ops ops;
    private Workspace work;
    private Tensor lastStream;
    private Tensor logits;
    private final LogitRows host;
    private int logitRows;

    /** Takes the weights that {@code config} calls for. */
    public Decoder(ModelConfig config, WeightSource source, Ops ops) {
        this.config = config;
        this.ops = ops;
        host = new LogitRows(config.vocabulary());
        embedding = source.matrix("model.embed_tokens.weight", config.vocabulary(), config.hidden());
        RopeTable rope = new RopeTable(config.rope(), config.mla().rope(), true);
        RopeTable indexRope = new RopeTable(config.rope(), config.mla().rope(), false);
        long[] bytes = new long[config.layers()];
        long counted = 0;
        for (int layer = 0; layer < config.layers(); layer++) {
            layers.add(new DecoderLayer(source, layer, config, rope, indexRope, ops.usesIndexer(layer)));
            bytes[layer] = source.bytes() - counted;
            counted += bytes[layer];
        }
        norm = source.vector("model.norm.weight", config.hidden());
        head = config.tiedEmbeddings()
                ? embedding
                : source.matrix("lm_head.weight", config.vocabulary(), config.hidden());
        bytes[config.layers() - 1] += source.bytes() - counted;
        ops.layers(bytes);
    }

    /** The shape of the model. */
    public ModelConfig config() {
        return config;
    }

    /** Runs the layers over a step; its tokens are then cached, and {@link #logits} can be asked for its rows. */
    public void forward(Step step) {
        QueryRows rows = step.rows();
        if (work == null || work.capacity < rows.rows()) {
            work = new Workspace(ops, config, indexes(), ops.capacity(rows.rows()));
        }
        ops.embed(step, embedding, work.stream);
        step.observer().hidden(0, rows, work.stream, ops);
        for (int layer = 0; layer < layers.size(); layer++) {
            ops.layer(layer, work.stream);
            layers.get(layer).forward(ops, step, work);
            step.observer().hidden(layer + 1, rows, work.stream, ops);
        }
    }

    private boolean indexes() {
        return IntStream.range(0, config.layers()).anyMatch(ops::usesIndexer);
    }

    /** Bytes of the activations where steps have so many rows, and as many of their logits are wanted. */
    public long activationBytes(int rows) {
        TensorBytes bytes = new TensorBytes();
        new Workspace(bytes, config, indexes(), ops.capacity(rows));
        int group = ops.capacity(Math.min(rows, LOGIT_ROWS));
        bytes.tensor(group, config.hidden());
        bytes.tensor(group, config.vocabulary());
        if (!ops.recorded()) {
            bytes.tensor(group, config.vocabulary()); // the copy that is handed out lies in the same memory
        }
        return bytes.bytes();
    }

    /** Receives the logits of one row. */
    @FunctionalInterface
    public interface LogitSink {
        /**
         * @param output which of the rows that were asked for
         * @param logits holds them in its row {@code row}; only valid during the call
         */
        void accept(int output, LogitRows logits, int row);
    }

    /**
     * Logits of some rows of the last step, a few at a time.
     *
     * @param rows row numbers of the step, the first {@code count} of them
     * @param enough how many of a row's best tokens are enough, in the order of {@code rows}; 0 where all logits are
     *     needed
     */
    public void logits(int[] rows, int[] enough, int count, LogitSink sink) {
        if (count == 0 && !ops.recorded()) {
            return;
        }
        int group = ops.capacity(Math.min(count, LOGIT_ROWS));
        if (logitRows < group) {
            lastStream = ops.tensor(group, config.hidden());
            logits = ops.tensor(group, config.vocabulary());
            logitRows = group;
        }
        int start = 0;
        do { // at least once: what is recorded must be the same in every step
            int n = Math.min(group, count - start);
            ops.gather(work.stream, rows, start, n, lastStream);
            ops.rmsNorm(n, lastStream, norm, config.normEps(), lastStream);
            ops.linear(n, lastStream, head, logits);
            host.clear();
            for (int i = 0; i < n; i++) {
                host.add(enough[start + i]);
            }
            ops.read(logits, host);
            for (int i = 0; i < n; i++) {
                sink.accept(start + i, host, i);
            }
            start += n;
        } while (start < count);
    }
}
