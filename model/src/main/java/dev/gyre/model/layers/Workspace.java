package dev.gyre.model.layers;

import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.IndexInput;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.Tensor;

import java.util.stream.IntStream;

/** The activations of one step, shared by all layers and reused by every step of no more rows. */
final class Workspace {
    final int capacity;
    /** Residual stream, {@code [rows, hidden]}. */
    final Tensor stream;
    /** What a block reads and what it returns, {@code [rows, hidden]}. */
    final Tensor normed;
    final Tensor output;
    /** Compressed queries {@code [rows, q rank]}; null where queries are projected directly. */
    final Tensor compressed;
    /** {@code [rows, heads * (nope + rope)]}. */
    final Tensor queries;
    /** {@code [rows, heads * (latent + rope)]}. */
    final Tensor latentQueries;
    /** {@code [rows, latent + rope]} and views of its two parts. */
    final Tensor kv;
    final Tensor latent;
    final Tensor ropeKey;
    /** {@code [rows, heads * latent]}. */
    final Tensor attended;
    /** {@code [rows, heads * value]}. */
    final Tensor values;
    /** The indexer's; null where there is none. */
    final Tensor indexKeys;
    final IndexInput index;
    /** A dense MLP's {@code [rows, intermediate]}; null where every layer has experts. */
    final Tensor gate;
    final Tensor up;

    Workspace(Ops ops, ModelConfig config, int capacity) {
        ModelConfig.Mla mla = config.mla();
        this.capacity = capacity;
        stream = ops.tensor(capacity, config.hidden());
        normed = ops.tensor(capacity, config.hidden());
        output = ops.tensor(capacity, config.hidden());
        compressed = mla.qRank() == 0 ? null : ops.tensor(capacity, mla.qRank());
        queries = ops.tensor(capacity, mla.heads() * mla.query());
        latentQueries = ops.tensor(capacity, mla.heads() * (mla.kvRank() + mla.rope()));
        kv = ops.tensor(capacity, mla.kvRank() + mla.rope());
        latent = ops.columns(kv, 0, mla.kvRank());
        ropeKey = ops.columns(kv, mla.kvRank(), mla.rope());
        attended = ops.tensor(capacity, mla.heads() * mla.kvRank());
        values = ops.tensor(capacity, mla.heads() * mla.value());
        ModelConfig.Indexer indexer = indexes(ops, config) ? config.indexer() : null;
        indexKeys = indexer == null ? null : ops.tensor(capacity, indexer.dim());
        index = indexer == null ? null : new IndexInput(
                ops.tensor(capacity, indexer.heads() * indexer.dim()),
                ops.tensor(capacity, indexer.heads()),
                indexer.heads(),
                indexer.dim());
        // without a dense layer no tensor of the checkpoint vouches for this width
        boolean dense = IntStream.range(0, config.layers()).anyMatch(layer -> !config.isMoe(layer));
        gate = dense ? ops.tensor(capacity, config.intermediate()) : null;
        up = dense ? ops.tensor(capacity, config.intermediate()) : null;
    }

    private static boolean indexes(Ops ops, ModelConfig config) {
        return IntStream.range(0, config.layers()).anyMatch(ops::usesIndexer);
    }
}
