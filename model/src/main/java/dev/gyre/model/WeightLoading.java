package dev.gyre.model;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.HostMemory;
import dev.gyre.attention.WorkerPool;
import dev.gyre.model.arch.Architecture;
import dev.gyre.model.checkpoint.Checkpoint;
import dev.gyre.model.checkpoint.DummyWeights;
import dev.gyre.model.checkpoint.LoadListener;
import dev.gyre.model.checkpoint.ModelFiles;
import dev.gyre.model.checkpoint.WeightFormat;
import dev.gyre.model.checkpoint.WeightSource;
import dev.gyre.model.config.Fields;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.Ops;

/**
 * Where a model's weights come from.
 *
 * @param whole all layers of the model
 * @param config those that are run
 * @param json config.json, which says in what formats weights are that no file has
 */
record WeightLoading(
        ModelFiles files, ModelConfig whole, ModelConfig config, Fields json, Architecture architecture) {
    /** The weights in the model's files. */
    WeightSource read(LoadListener listener) {
        return Checkpoint.open(files, config.blockRows(), config.blockColumns(), this::isNotNeeded, listener);
    }

    /** The weights in the model's files or, without any, what they would be. */
    WeightSource count() {
        return Checkpoint.isIn(files) ? read(LoadListener.NONE) : unmade();
    }

    /** Random weights without memory. */
    DummyWeights unmade() {
        return DummyWeights.unmade(WeightFormat.read(json, config));
    }

    /** Random weights, in memory where the operations read them there. */
    WeightSource make(Ops ops, WorkerPool pool, LoadListener listener) {
        if (!ops.readsWeights()) {
            return unmade();
        }
        long bytes;
        try (DummyWeights counted = unmade()) {
            architecture.factory().create(config, counted, ops);
            bytes = counted.bytes();
        }
        if (bytes > HostMemory.bytes()) {
            throw new EngineException("random weights for " + config.layers() + " layers take " + bytes
                    + " bytes and the machine has " + HostMemory.bytes() + "; use fewer --layers.");
        }
        return DummyWeights.inMemory(WeightFormat.read(json, config), pool, listener, bytes);
    }

    /** Other layers than are run, those for multi-token prediction too, and a head that repeats the embeddings. */
    private boolean isNotNeeded(String tensor) {
        if (config.tiedEmbeddings() && tensor.equals("lm_head.weight")) {
            return true;
        }
        int layer = ModelConfig.layerOf(tensor);
        boolean run = layer >= config.firstLayer() && layer < config.firstLayer() + config.layers();
        return layer >= 0 && !run && layer < whole.layers() + whole.mtpLayers();
    }
}
