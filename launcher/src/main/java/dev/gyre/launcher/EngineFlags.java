package dev.gyre.launcher;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.hisparse.HiSparseOptions;
import dev.gyre.attention.policy.SelectionPolicies;
import dev.gyre.model.LoadFormat;
import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.Precision;
import dev.gyre.model.config.LayerRange;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.EngineListener;
import dev.gyre.model.engine.EngineOptions;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/** The options of every command that runs a model; also of the Spark job in {@code benchmarks}. */
public final class EngineFlags {
    private static final ModelOptions DEFAULTS = ModelOptions.defaults();

    @Spec(Spec.Target.MIXEE)
    private CommandSpec mixee;

    @Mixin
    private ModelFlag model;

    @Option(
            names = "--load-format",
            paramLabel = "FORMAT",
            defaultValue = "auto",
            description = "auto: weights from the model's files; dummy: random ones, for which config.json is enough "
                    + "(default: auto)")
    private String loadFormat;

    @Option(
            names = "--layers",
            paramLabel = "A..B",
            description = "loads and runs only layers A to B, both included, between embedding and head (default: all)")
    private String layers;

    @Option(
            names = "--attention-backend",
            paramLabel = "NAME",
            description = "dsa (or nsa): what the indexer selects; dense: everything (default: what the model is)")
    private String attentionBackend;

    @Option(
            names = {"--dsa-prefill-backend", "--nsa-prefill-backend"},
            paramLabel = "IMPL",
            defaultValue = "auto",
            description = "implementation of attention over prompts: auto, tornado, vector, reference (default: auto)")
    private String prefill;

    @Option(
            names = {"--dsa-decode-backend", "--nsa-decode-backend"},
            paramLabel = "IMPL",
            defaultValue = "auto",
            description = "... of attention of one new token a sequence; the same names")
    private String decode;

    @Option(
            names = {"--dsa-indexer-backend", "--nsa-indexer-backend"},
            paramLabel = "IMPL",
            defaultValue = "auto",
            description = "... of the indexer's scores; the same names")
    private String indexer;

    @Option(
            names = {"--dsa-topk-backend", "--nsa-topk-backend"},
            paramLabel = "IMPL",
            defaultValue = "auto",
            description = "... of the selection; the same names")
    private String topk;

    @Option(
            names = "--linear-backend",
            paramLabel = "IMPL",
            defaultValue = "auto",
            description = "... of everything that multiplies with weights: auto, vector, reference")
    private String linear;

    @Option(
            names = "--device",
            paramLabel = "ID",
            description = "the device that tornado runs on, as 'engine devices' lists them (default: its choice)")
    private String device;

    @Option(
            names = "--devices",
            paramLabel = "ID,ID,...",
            description = "several devices that share the layers of the model in this order, by the bytes of their "
                    + "weights; ids as for --device, where N means 0:N")
    private String devices;

    @Option(
            names = "--kv-cache-dtype",
            paramLabel = "DTYPE",
            description = "f32, bf16 or fp8_e4m3 (default: by --precision)")
    private String cacheDtype;

    @Option(names = "--index-topk", paramLabel = "K", description = "replaces the model's index_topk")
    private int indexTopk;

    @Option(
            names = "--selection-policy",
            paramLabel = "POLICY",
            description = "what selects the index_topk tokens to attend to: ${COMPLETION-CANDIDATES} "
                    + "(default: what the model says, else indexer)",
            completionCandidates = Policies.class)
    private String selectionPolicy;

    @Option(names = "--config-override", paramLabel = "JSON", description = "an object laid over config.json")
    private String configOverride;

    @Option(
            names = "--precision",
            paramLabel = "P",
            defaultValue = "exact",
            description = "exact: f32 caches; fast: bf16 caches (default: exact)")
    private String precision;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "threads that compute (default: physical cores; 1 in a task of Spark)")
    private Integer threads;

    @Option(
            names = "--context-length",
            paramLabel = "N",
            description = "the most tokens of a sequence (default: the model's)")
    private int contextLength;

    @Option(names = "--prefill-chunk", paramLabel = "N", description = "the most tokens of a step (default: 512)")
    private int prefillChunk = DEFAULTS.prefillChunk();

    @Option(
            names = "--score-buffer",
            paramLabel = "BYTES",
            description = "the most memory of index scores at a time (default: 268435456)")
    private long scoreBuffer = DEFAULTS.scoreBuffer();

    @Option(
            names = "--hisparse-hot-tokens",
            paramLabel = "N",
            description = "keeps the latents of N tokens a sequence and layer hot and attends to these; at least "
                    + "index_topk (default: one cache of all)")
    private Integer hotTokens;

    @Option(
            names = "--hisparse-dir",
            paramLabel = "DIR",
            description = "... and keeps all latents in a file there, so that a context may be larger than memory")
    private Path latentDirectory;

    /** The model's folder or the embedded model. */
    ModelFlag model() {
        return model;
    }

    /** These options, checked. */
    ModelOptions options() {
        return options(DEFAULTS.threads());
    }

    /** @param defaultThreads where {@code --threads} does not say */
    public ModelOptions options(int defaultThreads) {
        Map<Phase, String> implementations = new EnumMap<>(Phase.class);
        implementations.put(Phase.PREFILL, prefill);
        implementations.put(Phase.DECODE, decode);
        implementations.put(Phase.INDEXER, indexer);
        implementations.put(Phase.TOPK, topk);
        implementations.put(Phase.LINEAR, linear);
        return new ModelOptions(
                model.path(),
                attentionBackend,
                implementations,
                cacheDtype == null ? null : CacheDtype.of(cacheDtype),
                indexTopk,
                selectionPolicy,
                configOverride,
                Precision.of(precision),
                threads == null ? defaultThreads : threads,
                contextLength,
                prefillChunk,
                scoreBuffer,
                devices(),
                false,
                hiSparse(),
                LoadFormat.of(loadFormat),
                layers == null ? null : LayerRange.parse(layers));
    }

    private List<String> devices() {
        if (device != null && devices != null) {
            throw EngineException.usage("--device and --devices exclude one another; give one of them.");
        }
        if (devices == null) {
            return device == null ? List.of() : List.of(device);
        }
        List<String> ids = Arrays.stream(devices.split(",", -1)).map(String::strip).toList();
        if (ids.contains("")) {
            throw EngineException.usage("--devices wants ids such as 0:0,0:1, not '" + devices + "'.");
        }
        return ids;
    }

    private HiSparseOptions hiSparse() {
        if (hotTokens != null) {
            return new HiSparseOptions(hotTokens, latentDirectory);
        }
        if (latentDirectory != null) {
            throw EngineException.usage("--hisparse-dir needs --hisparse-hot-tokens, the latents that stay in memory.");
        }
        return null;
    }

    /** The known selection policies, with all their parameters. */
    static final class Policies implements Iterable<String> {
        @Override
        public Iterator<String> iterator() {
            return SelectionPolicies.known().iterator();
        }
    }

    /** Opens the model; says on stderr where the fastest implementation is missing. */
    Model open() {
        return open(options());
    }

    /** The same with indexers that run also where the selection policy has no use for them. */
    Model openMeasured() {
        return open(options().withMeasuredSelection(true));
    }

    private Model open(ModelOptions options) {
        try (LoadProgress loading = loading()) {
            Model model = Model.open(options, loading);
            notice(model);
            return model;
        }
    }

    /** The model without what it takes to run it. */
    Model describe() {
        Model model = Model.describe(options());
        notice(model);
        return model;
    }

    private LoadProgress loading() {
        return new LoadProgress(mixee.commandLine().getErr(), System::nanoTime);
    }

    /** Starts an engine with the model; everything else is as in {@code options}. */
    Engine create(EngineOptions options, EngineListener listener) {
        try (LoadProgress loading = loading()) {
            Engine engine = Engine.create(options.withModel(options()), listener, loading);
            notice(engine.model());
            return engine;
        }
    }

    private void notice(Model model) {
        model.notice().ifPresent(sentence -> mixee.commandLine().getErr().println("engine: " + sentence));
    }
}
