package dev.gyre.benchmarks.spark;

import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.hisparse.HiSparseOptions;
import dev.gyre.model.LoadFormat;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.Precision;
import dev.gyre.model.config.LayerRange;

import java.io.Serializable;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * {@link ModelOptions} as they travel: a path is not serializable. Folders are absolute, and all machines see them.
 *
 * @param model null for the embedded model
 * @param hotTokens of HiSparse; 0 for one cache of all latents
 * @param latentDirectory of HiSparse; null for memory
 * @param layers as {@link LayerRange} reads them; null for all
 */
record SentOptions(
        String model,
        String attentionBackend,
        Map<Phase, String> implementations,
        CacheDtype cacheDtype,
        String configOverride,
        Precision precision,
        int threads,
        int contextLength,
        int prefillChunk,
        long scoreBuffer,
        List<String> devices,
        int hotTokens,
        String latentDirectory,
        LoadFormat loadFormat,
        String layers)
        implements Serializable {
    /** All but the policy and k, which are a cell's. */
    static SentOptions of(ModelOptions options) {
        HiSparseOptions hiSparse = options.hiSparse();
        return new SentOptions(
                absolute(options.model()),
                options.attentionBackend(),
                options.implementations(),
                options.cacheDtype(),
                options.configOverride(),
                options.precision(),
                options.threads(),
                options.contextLength(),
                options.prefillChunk(),
                options.scoreBuffer(),
                options.devices(),
                hiSparse == null ? 0 : hiSparse.hotTokens(),
                hiSparse == null ? null : absolute(hiSparse.directory()),
                options.loadFormat(),
                options.layers() == null ? null : options.layers().toString());
    }

    private static String absolute(Path path) {
        return path == null ? null : path.toAbsolutePath().toString();
    }

    private static Path path(String name) {
        return name == null ? null : Path.of(name);
    }

    /** What they were made of. */
    ModelOptions options() {
        return new ModelOptions(
                path(model),
                attentionBackend,
                implementations,
                cacheDtype,
                0,
                null,
                configOverride,
                precision,
                threads,
                contextLength,
                prefillChunk,
                scoreBuffer,
                devices,
                false,
                hotTokens == 0 ? null : new HiSparseOptions(hotTokens, path(latentDirectory)),
                loadFormat,
                layers == null ? null : LayerRange.parse(layers));
    }
}
