package dev.gyre.model.layers;

import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.IndexInput;
import dev.gyre.model.ops.Tensor;
import dev.gyre.model.ops.Tensors;

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

    /** @param indexes whether any layer runs an indexer */
    Workspace(Tensors tensors, ModelConfig config, boolean indexes, int capacity) {
        ModelConfig.Mla mla = config.mla();
        this.capacity = capacity;
        stream = tensors.tensor(capacity, config.hidden());
        normed = tensors.tensor(capacity, config.hidden());
        output = tensors.tensor(capacity, config.hidden());
        compressed = mla.qRank() == 0 ? null : tensors.tensor(capacity, mla.qRank());
        queries = tensors.tensor(capacity, mla.heads() * mla.query());
        latentQueries = tensors.tensor(capacity, mla.heads() * (mla.kvRank() + mla.rope()));
        kv = tensors.tensor(capacity, mla.kvRank() + mla.rope());
        latent = tensors.columns(kv, 0, mla.kvRank());
        ropeKey = tensors.columns(kv, mla.kvRank(), mla.rope());
        attended = tensors.tensor(capacity, mla.heads() * mla.kvRank());
        values = tensors.tensor(capacity, mla.heads() * mla.value());
        ModelConfig.Indexer indexer = indexes ? config.indexer() : null;
        indexKeys = indexer == null ? null : tensors.tensor(capacity, indexer.dim());
        index = indexer == null ? null : new IndexInput(
                tensors.tensor(capacity, indexer.heads() * indexer.dim()),
                tensors.tensor(capacity, indexer.heads()),
                indexer.heads(),
                indexer.dim());
        // without a dense layer no tensor of the checkpoint vouches for this width
        boolean dense = IntStream.range(0, config.layers()).anyMatch(layer -> !config.isMoe(layer));
        gate = dense ? tensors.tensor(capacity, config.intermediate()) : null;
        up = dense ? tensors.tensor(capacity, config.intermediate()) : null;
    }
}
