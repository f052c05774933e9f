package dev.gyre.model.ops;

import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.model.checkpoint.LoadListener;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.config.ModelConfig;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The operations of a decoder. A model calls them in order; each may be carried out at once or recorded. Rows beyond
 * the {@code rows} of a call are neither read nor written. In and out may be the same tensor only where it says so.
 */
public interface Ops extends Tensors, AutoCloseable {
    /** The most rows of a step. */
    default int mostRows() {
        return Integer.MAX_VALUE;
    }

    /** For how many rows tensors must be made that a step of {@code rows} rows uses. */
    default int capacity(int rows) {
        return rows;
    }

    /** Whether operations are recorded, and carried out when something is {@linkplain #read read}. */
    default boolean recorded() {
        return false;
    }

    /**
     * Whether weights must lie in memory that this process can read at any time; otherwise they are copied out of
     * {@link Weight}s once.
     */
    default boolean readsWeights() {
        return true;
    }

    /** Threads that may help to copy weights, and who hears how far that is; before anything else. */
    default void loading(WorkerPool pool, LoadListener listener) {}

    /** Where weights, caches and tensors lie. */
    Memory memory();

    /** Bytes that a weight takes there, by format. */
    default Map<String, Long> stored(Weight weight) {
        return weight.formats();
    }

    /**
     * Bytes of what operations keep there beside weights, caches and tensors: for experts, angles, selections.
     *
     * @param rows the most rows of a step
     * @param sequences texts at once
     * @param longest the most tokens of each
     */
    long workBytes(ModelConfig config, int rows, int sequences, int longest);

    /**
     * The caches that {@link #append} fills and {@link #attend} reads.
     *
     * @param shapes what a token needs in each layer
     * @param tokens how many tokens there must be room for, over all sequences
     * @param longest the most tokens of a sequence
     */
    default KvCache cache(List<CacheShape> shapes, CacheDtype dtype, int tokens, int longest) {
        return new KvCache(shapes, dtype, tokens);
    }

    /** Measures how the operations use a device; empty where they run on the host. */
    default Optional<DeviceMeter> meter() {
        return Optional.empty();
    }

    /** Gives back what the operations hold; they must not be used again. */
    @Override
    default void close() {}

    /** Copies the first rows to the host: {@code [rows, columns]}. */
    void read(Tensor tensor, int rows, float[] target);

    /**
     * Brings logits to the host, {@code [rows, vocabulary]}: of rows for which their best tokens are enough these alone
     * where finding them costs less than bringing all, which this method does.
     */
    default void read(Tensor logits, LogitRows target) {
        read(logits, target.rows(), target.all());
    }

    /** {@code out[r] = table[token of r]}. */
    void embed(Step step, Weight table, Tensor out);

    /**
     * Told once, before the first step: how many bytes of weights every layer has, the embedding's with the first, the
     * head's with the last.
     */
    default void layers(long[] bytes) {}

    /**
     * What follows, until the next layer or {@link #gather}, is the work of a layer. A model says so of each, in order;
     * where operations are recorded, graphs may be cut and devices changed here.
     *
     * @param stream {@code [rows, hidden]}: all that a layer takes from those before it, but for a selection that it
     *     shares, and leaves to those behind it
     */
    default void layer(int layer, Tensor stream) {}

    /** {@code out[i] = x[rows[from + i]]} for i in [0, count). */
    void gather(Tensor x, int[] rows, int from, int count, Tensor out);

    /** {@code out = x * gain / sqrt(mean(x^2) + eps)} by rows (arXiv 1910.07467); out may be x. */
    void rmsNorm(int rows, Tensor x, Weight gain, float eps, Tensor out);

    /** {@code out = (x - mean) / sqrt(variance + eps) * gain + bias} by rows; out may be x. */
    void layerNorm(int rows, Tensor x, Weight gain, Weight bias, float eps, Tensor out);

    /** {@code out = x weight^T}: {@code [rows, in] x [out, in]^T}. */
    void linear(int rows, Tensor x, Weight weight, Tensor out);

    /** {@code sum += x}. */
    void add(int rows, Tensor x, Tensor sum);

    /** {@code x *= factor}. */
    void scale(int rows, Tensor x, float factor);

    /**
     * Rotates, in place, the values {@code [from, from + dim of the table)} of every head of every row.
     *
     * @param heads the columns of x are that many heads of equal width
     * @param interleaved pairs are (2i, 2i+1); otherwise (i, i + dim/2)
     */
    void rope(Step step, Tensor x, int heads, int from, RopeTable table, boolean interleaved);

    /** {@code out = silu(gate) * up}; out may be gate. */
    void swiGlu(int rows, Tensor gate, Tensor up, Tensor out);

    /**
     * Queries for latents: for every head {@code out = [q_nope W_UK | q_rope]}.
     *
     * @param q {@code [rows, heads * (nope + rope)]}
     * @param kvB {@code [heads * (nope + value), latent]}, a head's nope rows (W_UK) before its value rows (W_UV)
     * @param out {@code [rows, heads * (latent + rope)]}
     */
    void absorb(int rows, Tensor q, Weight kvB, MlaShape shape, Tensor out);

    /**
     * Values from attended latents: for every head {@code out = x W_UV^T}.
     *
     * @param x {@code [rows, heads * latent]}
     * @param out {@code [rows, heads * value]}
     */
    void expand(int rows, Tensor x, Weight kvB, MlaShape shape, Tensor out);

    /**
     * Stores the step's latents and index keys in the caches of a layer.
     *
     * @param latents {@code [rows, latent + rope]}
     * @param indexKeys {@code [rows, index dim]}; null where the layer runs no indexer
     */
    void append(Step step, int layer, Tensor latents, Tensor indexKeys);

    /** Whether a layer runs its indexer: {@link #append} needs its keys and {@link #attend} its queries. */
    boolean usesIndexer(int layer);

    /**
     * Attention of a layer over its caches.
     *
     * @param q as {@link #absorb} made it
     * @param index what the indexer asks; null where {@link #usesIndexer} is false
     * @param out {@code [rows, heads * latent]}
     */
    void attend(Step step, int layer, Tensor q, MlaShape shape, IndexInput index, Tensor out);

    /** {@code out} = the weighted sum of each row's experts, and the shared expert. */
    void moe(int rows, Tensor x, MoeWeights weights, Tensor out);
}
