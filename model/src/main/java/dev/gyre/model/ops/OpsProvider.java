package dev.gyre.model.ops;

import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.model.config.ModelConfig;

import java.util.List;

/** Operations of a decoder from outside this module, found through {@link java.util.ServiceLoader}. */
public interface OpsProvider {
    /** The name that {@code --linear-backend} takes. */
    String name();

    /**
     * Operations for one model.
     *
     * @param attention which layers run an indexer, and what is selected
     * @param devices the devices that {@code --device} or {@code --devices} named, which share the layers in this
     *     order; empty leaves the choice to the provider
     * @param rows the most rows that a step should have
     */
    Ops create(ModelConfig config, AttentionBackend attention, List<String> devices, int rows);
}
