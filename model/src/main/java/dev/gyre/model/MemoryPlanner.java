package dev.gyre.model;

import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.attention.hisparse.HiSparseOptions;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.layers.Decoder;
import dev.gyre.model.ops.Ops;

import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Adds up what a model takes of the memory that its operations run in.
 *
 * @param weights all that the decoder asked for
 * @param shapes what a token takes in the cache of each layer
 * @param selects whether scores of an index are held
 */
record MemoryPlanner(
        ModelConfig config,
        Decoder decoder,
        Ops ops,
        Collection<Weight> weights,
        List<CacheShape> shapes,
        CacheDtype dtype,
        boolean selects,
        ModelOptions options) {

    /** The plan for so many sequences of so many tokens, where the model may take {@code usable} bytes. */
    MemoryPlan plan(int sequences, int context, long usable) {
        SortedMap<String, Long> formats = new TreeMap<>();
        for (Weight weight : weights) {
            ops.stored(weight).forEach((format, bytes) -> formats.merge(format, bytes, Long::sum));
        }
        long weightBytes = formats.values().stream().mapToLong(Long::longValue).sum();
        return new MemoryPlan(
                ops.memory(),
                usable,
                sequences,
                context,
                formats,
                caches(shapes.size(), sequences, context),
                workspaces(sequences, context),
                longest(sequences, usable - weightBytes),
                layers(sequences, context, usable));
    }

    /** The most tokens of a sequence whose caches and workspaces fit into so many bytes. */
    private int longest(int sequences, long room) {
        int fits = 0;
        int over = config.maxPositions() + 1;
        while (over - fits > 1) {
            int middle = fits + (over - fits) / 2;
            if (caches(shapes.size(), sequences, middle) + workspaces(sequences, middle) <= room) {
                fits = middle;
            } else {
                over = middle;
            }
        }
        return fits;
    }

    private int layers(int sequences, int context, long usable) {
        long[] ofLayer = new long[config.layers()];
        long room = usable - workspaces(sequences, context);
        for (Weight weight : weights) {
            long bytes = ops.stored(weight).values().stream().mapToLong(Long::longValue).sum();
            int layer = ModelConfig.layerOf(weight.name());
            if (layer >= 0) {
                ofLayer[layer - config.firstLayer()] += bytes;
            } else {
                room -= bytes;
            }
        }
        int fit = 0;
        while (fit < ofLayer.length
                && Arrays.stream(ofLayer, 0, fit + 1).sum() + caches(fit + 1, sequences, context) <= room) {
            fit++;
        }
        return fit;
    }

    /** Bytes of the caches of the first layers. */
    private long caches(int layers, int sequences, int context) {
        HiSparseOptions hot = options.hiSparse();
        long slots = (long) sequences * Math.ceilDiv(context, PageTable.PAGE) * PageTable.PAGE;
        long bytes = 0;
        for (CacheShape shape : shapes.subList(0, layers)) {
            bytes += slots * shape.indexBytes(dtype);
            if (hot == null || hot.directory() == null) { // otherwise they lie in a file
                bytes += slots * shape.latentBytes(dtype);
            }
            if (hot != null) {
                bytes += (long) sequences * Math.min(hot.hotTokens(), context) * shape.latentBytes(dtype);
            }
        }
        return bytes;
    }

    private long workspaces(int sequences, int context) {
        int rows = (int) Math.min(Math.min(options.prefillChunk(), ops.mostRows()), (long) sequences * context);
        long scores = selects && ops.readsWeights()
                ? Math.min(options.scoreBuffer(), (long) rows * context * Float.BYTES)
                : 0;
        return decoder.activationBytes(rows) + ops.workBytes(config, rows, sequences, context) + scores;
    }
}
