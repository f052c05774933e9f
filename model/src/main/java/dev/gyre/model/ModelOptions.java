package dev.gyre.model;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.Processors;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.hisparse.HiSparseOptions;
import dev.gyre.attention.policy.SelectionPolicies;
import dev.gyre.model.config.LayerRange;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * How to open a model. Start from {@link #defaults()} and change what differs:
 *
 * <pre>{@code ModelOptions.defaults().withModel(Path.of("models/mine")).withThreads(4)}</pre>
 *
 * @param model the model's folder; null for the embedded default model
 * @param attentionBackend {@code dsa}, {@code nsa} or {@code dense}; null for what the model is
 * @param implementations names by phase; a phase that is missing is {@code auto}
 * @param cacheDtype null for what {@code precision} implies
 * @param indexTopk replaces the model's index_topk; 0 keeps it
 * @param selectionPolicy what selects the tokens to attend to, as {@link SelectionPolicies#create} takes it; null for
 *     the {@code selection_policy} of config.json or, without one, what the attention backend implies
 * @param configOverride a JSON object that is laid over config.json; null for none
 * @param threads threads that compute, at least 1
 * @param contextLength the most tokens of a sequence; 0 for the model's max_position_embeddings
 * @param prefillChunk the most tokens of a step; it does not change results
 * @param scoreBuffer the most bytes that index scores take at a time
 * @param devices the device of implementations that run on one, by the id that {@code engine devices} shows, or several
 *     that share the layers of the model in this order; empty for their choice
 * @param measured whether layers run their indexers also where the selection policy has no use for them, as a
 *     {@link dev.gyre.model.research.SelectionProbe} needs it
 * @param hiSparse how many latents are kept hot, and where the others lie; null for one cache of all
 * @param loadFormat where the weights come from
 * @param layers the only layers that are loaded and run, between embedding and head; null for all
 */
public record ModelOptions(
        Path model,
        String attentionBackend,
        Map<Phase, String> implementations,
        CacheDtype cacheDtype,
        int indexTopk,
        String selectionPolicy,
        String configOverride,
        Precision precision,
        int threads,
        int contextLength,
        int prefillChunk,
        long scoreBuffer,
        List<String> devices,
        boolean measured,
        HiSparseOptions hiSparse,
        LoadFormat loadFormat,
        LayerRange layers) {

    private static final int MOST_THREADS = 1024;

    /** Checks the ranges. */
    public ModelOptions {
        implementations = Map.copyOf(implementations);
        devices = List.copyOf(devices);
        least("--index-topk", indexTopk, 0);
        least("--threads", threads, 1);
        if (threads > MOST_THREADS) {
            throw EngineException.usage("--threads must be at most " + MOST_THREADS + ", not " + threads + ".");
        }
        least("--context-length", contextLength, 0);
        least("--prefill-chunk", prefillChunk, 1);
        least("--score-buffer", scoreBuffer, 1);
    }

    private static void least(String option, long value, long least) {
        if (value < least) {
            throw EngineException.usage(option + " must be at least " + least + ", not " + value + ".");
        }
    }

    /** The embedded model, exact, on all physical cores. */
    public static ModelOptions defaults() {
        return new ModelOptions(
                null,
                null,
                Map.of(),
                null,
                0,
                null,
                null,
                Precision.EXACT,
                Processors.physicalCores(),
                0,
                512,
                256L << 20,
                List.of(),
                false,
                null,
                LoadFormat.AUTO,
                null);
    }

    /** The same with another model folder. */
    public ModelOptions withModel(Path folder) {
        return new ModelOptions(folder, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy,
                configOverride, precision, threads, contextLength, prefillChunk, scoreBuffer, devices, measured,
                hiSparse, loadFormat, layers);
    }

    /** The same with another attention backend and these implementations of its phases. */
    public ModelOptions withAttention(String backend, Map<Phase, String> names) {
        return new ModelOptions(model, backend, names, cacheDtype, indexTopk, selectionPolicy, configOverride,
                precision, threads, contextLength, prefillChunk, scoreBuffer, devices, measured, hiSparse, loadFormat,
                layers);
    }

    /** The same with another cache dtype. */
    public ModelOptions withCacheDtype(CacheDtype dtype) {
        return new ModelOptions(model, attentionBackend, implementations, dtype, indexTopk, selectionPolicy,
                configOverride, precision, threads, contextLength, prefillChunk, scoreBuffer, devices, measured,
                hiSparse, loadFormat, layers);
    }

    /** The same with another index_topk. */
    public ModelOptions withIndexTopk(int topk) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, topk, selectionPolicy,
                configOverride, precision, threads, contextLength, prefillChunk, scoreBuffer, devices, measured,
                hiSparse, loadFormat, layers);
    }

    /** The same with another selection policy. */
    public ModelOptions withSelectionPolicy(String policy) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, policy, configOverride,
                precision, threads, contextLength, prefillChunk, scoreBuffer, devices, measured, hiSparse, loadFormat,
                layers);
    }

    /** The same with indexers that run whether or not the selection policy needs them. */
    public ModelOptions withMeasuredSelection(boolean run) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy,
                configOverride, precision, threads, contextLength, prefillChunk, scoreBuffer, devices, run, hiSparse,
                loadFormat, layers);
    }

    /** The same with this JSON laid over config.json. */
    public ModelOptions withConfigOverride(String json) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy, json,
                precision, threads, contextLength, prefillChunk, scoreBuffer, devices, measured, hiSparse, loadFormat,
                layers);
    }

    /** The same with another precision. */
    public ModelOptions withPrecision(Precision other) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy,
                configOverride, other, threads, contextLength, prefillChunk, scoreBuffer, devices, measured, hiSparse,
                loadFormat, layers);
    }

    /** The same with another number of threads. */
    public ModelOptions withThreads(int count) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy,
                configOverride, precision, count, contextLength, prefillChunk, scoreBuffer, devices, measured, hiSparse,
                loadFormat, layers);
    }

    /** The same with another context length. */
    public ModelOptions withContextLength(int tokens) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy,
                configOverride, precision, threads, tokens, prefillChunk, scoreBuffer, devices, measured, hiSparse,
                loadFormat, layers);
    }

    /** The same with another prefill chunk and score buffer. */
    public ModelOptions withChunks(int prefillTokens, long scoreBytes) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy,
                configOverride, precision, threads, contextLength, prefillTokens, scoreBytes, devices, measured,
                hiSparse, loadFormat, layers);
    }

    /** The same on these devices. */
    public ModelOptions withDevices(List<String> ids) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy,
                configOverride, precision, threads, contextLength, prefillChunk, scoreBuffer, ids, measured, hiSparse,
                loadFormat, layers);
    }

    /** The same with hot latents and a store of all. */
    public ModelOptions withHiSparse(HiSparseOptions split) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy,
                configOverride, precision, threads, contextLength, prefillChunk, scoreBuffer, devices, measured, split,
                loadFormat, layers);
    }

    /** The same with weights from elsewhere. */
    public ModelOptions withLoadFormat(LoadFormat format) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy,
                configOverride, precision, threads, contextLength, prefillChunk, scoreBuffer, devices, measured,
                hiSparse, format, layers);
    }

    /** The same with these layers alone. */
    public ModelOptions withLayers(LayerRange range) {
        return new ModelOptions(model, attentionBackend, implementations, cacheDtype, indexTopk, selectionPolicy,
                configOverride, precision, threads, contextLength, prefillChunk, scoreBuffer, devices, measured,
                hiSparse, loadFormat, range);
    }
}
