package dev.gyre.model;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.AttentionBackend;
import dev.gyre.attention.backend.AttentionBackends;
import dev.gyre.attention.backend.Implementations;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;
import dev.gyre.attention.backend.Resources;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.CacheShape;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.attention.cache.PageTable;
import dev.gyre.attention.hisparse.HiSparse;
import dev.gyre.attention.hisparse.HiSparseStats;
import dev.gyre.attention.policy.HostOperations;
import dev.gyre.attention.policy.LayerShape;
import dev.gyre.attention.policy.PolicyContext;
import dev.gyre.attention.policy.SelectionPolicies;
import dev.gyre.attention.policy.SelectionPolicy;
import dev.gyre.model.arch.Architecture;
import dev.gyre.model.arch.Architectures;
import dev.gyre.model.checkpoint.Checkpoint;
import dev.gyre.model.checkpoint.LoadListener;
import dev.gyre.model.checkpoint.ModelFiles;
import dev.gyre.model.checkpoint.WeightSource;
import dev.gyre.model.config.ConfigReader;
import dev.gyre.model.config.Fields;
import dev.gyre.model.config.GenerationDefaults;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.layers.Decoder;
import dev.gyre.model.ops.DeviceMeter;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.OpsProvider;
import dev.gyre.model.ops.cpu.CpuOps;
import dev.gyre.model.ops.cpu.Kernels;
import dev.gyre.model.tokenizer.Tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.stream.IntStream;

/**
 * A model, opened: its configuration, weights and tokenizer, and the threads that run it. To generate texts for many
 * callers at once, see {@link dev.gyre.model.engine.Engine}.
 *
 * <pre>{@code
 * try (Model model = Model.open(ModelOptions.defaults());
 *         ModelRunner runner = model.runner(1, 256)) {
 *     int[] prompt = model.tokenizer().encodeWithBos("Fellow-Citizens of the Senate");
 *     Generation result = new Generator(model, runner)
 *             .generate(runner.start(), prompt, GenerationOptions.greedy(32), text -> System.out.print(text));
 * }
 * }</pre>
 *
 * One thread at a time.
 */
public final class Model implements AutoCloseable {
    private final ModelFiles files;
    /** Of the layers that are run. */
    private final ModelConfig config;
    private final GenerationDefaults defaults;
    private final ModelOptions options;
    private final WorkerPool pool;
    private final WeightSource weights;
    private final boolean described;
    private final Implementations implementations;
    private final String attentionBackend;
    private final AttentionBackend attention;
    /** null where there is one cache of all latents. */
    private final HiSparse hiSparse;
    private final Ops ops;
    private final Decoder decoder;
    private Tokenizer tokenizer;

    private Model(
            ModelFiles files,
            Fields json,
            Architecture architecture,
            ModelOptions options,
            boolean described,
            LoadListener listener) {
        this.files = files;
        this.options = options;
        this.described = described;
        ModelConfig whole = ConfigReader.read(json, architecture.family());
        config = options.layers() == null ? whole : whole.slice(options.layers());
        if (options.indexTopk() > 0 && !config.isSparse()) {
            throw new EngineException(
                    "--index-topk needs a model with an indexer, and " + files.where() + " has none.");
        }
        if (options.contextLength() > config.maxPositions()) {
            throw new EngineException("--context-length " + options.contextLength() + " is beyond the model's "
                    + config.maxPositions() + " positions; --config-override max_position_embeddings stretches them.");
        }
        String generation = "generation_config.json";
        Fields recommended = files.has(generation)
                ? Fields.parse(files.read(generation), files.where() + ": " + generation)
                : null;
        defaults = GenerationDefaults.read(json, recommended, config.vocabulary());
        attentionBackend = options.attentionBackend() != null
                ? options.attentionBackend()
                : config.isSparse() ? AttentionBackends.DSA : AttentionBackends.DENSE;
        pool = new WorkerPool(options.threads());
        WeightSource opened = null;
        try {
            implementations = Implementations.choose(
                    Providers.load(), options.implementations(), new Resources(pool, options.devices()));
            hiSparse = options.hiSparse() == null
                    ? null
                    : new HiSparse(options.hiSparse(), topk(), implementations, pool);
            attention = AttentionBackends.create(
                    attentionBackend,
                    options.selectionPolicy() != null ? options.selectionPolicy() : json.text("selection_policy", null),
                    policyContext(),
                    options.measured(),
                    hiSparse == null ? implementations : hiSparse.implementations());
            if (hiSparse != null && attention.policy().spec().equals(SelectionPolicies.DENSE)) {
                throw EngineException.usage("--hisparse-hot-tokens needs attention that selects tokens, and here it is "
                        + "dense; leave it out.");
            }
            ops = ops();
            ops.loading(pool, listener);
            opened = weights(new WeightLoading(files, whole, config, json, architecture), listener);
            decoder = architecture.factory().create(config, opened, ops);
            opened.finish();
            weights = opened;
        } catch (RuntimeException | Error e) {
            pool.close();
            if (opened != null) {
                opened.close();
            }
            throw e;
        }
    }

    /** Where the weights come from. */
    private WeightSource weights(WeightLoading loading, LoadListener listener) {
        boolean dummy = options.loadFormat() == LoadFormat.DUMMY;
        if (described) {
            return dummy ? loading.unmade() : loading.count();
        }
        return dummy ? loading.make(ops, pool, listener) : loading.read(listener);
    }

    /** The operations of the decoder: on the host, or all of them on a device. */
    private Ops ops() {
        String linear = implementations.names().get(Phase.LINEAR);
        for (OpsProvider provider : ServiceLoader.load(OpsProvider.class, Model.class.getClassLoader())) {
            if (provider.name().equals(linear)) {
                return provider.create(config, attention, options.devices(), options.prefillChunk());
            }
        }
        return new CpuOps(pool, attention, Kernels.of(linear, pool));
    }

    /** The most tokens that one attends to; 0 where it is all. */
    private int topk() {
        return config.isSparse() ? config.indexer().topk() : 0;
    }

    /** What a selection policy works with. */
    private PolicyContext policyContext() {
        ModelConfig.Mla mla = config.mla();
        ModelConfig.Indexer indexer = config.indexer();
        CacheShape cached = new CacheShape(mla.kvRank(), mla.rope(), indexer == null ? 0 : indexer.dim());
        return new PolicyContext(
                implementations.indexer(),
                implementations.topk(),
                implementations.host(),
                new LayerShape(
                        mla.heads(),
                        mla.kvRank(),
                        mla.rope(),
                        indexer == null ? 0 : indexer.heads(),
                        indexer == null ? 0 : indexer.dim(),
                        topk(),
                        config.layers(),
                        config.firstLayer(),
                        cached.latentBytes(cacheDtype()),
                        cached.indexBytes(cacheDtype())),
                indexer == null ? null : indexer.sharing(),
                options.scoreBuffer());
    }

    /** Opens a model. */
    public static Model open(ModelOptions options) {
        return open(options, LoadListener.NONE);
    }

    /** The same with someone who hears how far that is; a decoder on a device loads its weights in its first step. */
    public static Model open(ModelOptions options, LoadListener listener) {
        return open(options, false, listener);
    }

    /**
     * A model that is only looked at and has no {@link #runner}: of what config.json says it needs no weights. Where
     * there are none, or those of {@link LoadFormat#DUMMY}, they are counted in the formats that config.json calls for.
     */
    public static Model describe(ModelOptions options) {
        return open(options, true, LoadListener.NONE);
    }

    private static Model open(ModelOptions options, boolean described, LoadListener listener) {
        ModelFiles files = options.model() == null ? ModelFiles.embedded() : ModelFiles.folder(options.model());
        Fields json = config(files, options);
        return new Model(
                files, json, Architectures.of(ConfigReader.architecture(json)), options, described, listener);
    }

    private static Fields config(ModelFiles files, ModelOptions options) {
        Fields json = Fields.parse(files.read("config.json"), files.where() + ": config.json");
        if (options.configOverride() != null) {
            json = json.merge(Fields.parse(
                    options.configOverride().getBytes(StandardCharsets.UTF_8), "--config-override"));
        }
        if (options.indexTopk() > 0) {
            json = json.merge(Fields.parse(
                    ("{\"index_topk\":" + options.indexTopk() + "}").getBytes(StandardCharsets.UTF_8), "--index-topk"));
        }
        return json;
    }

    /** The shape of the model. */
    public ModelConfig config() {
        return config;
    }

    /** What the model's files recommend for generation. */
    public GenerationDefaults defaults() {
        return defaults;
    }

    /** How the model was opened. */
    public ModelOptions options() {
        return options;
    }

    /** Where the model came from, for messages. */
    public String where() {
        return files.where();
    }

    /** SHA-256 of config.json and of the weights' files, by name: what tells this model from others. */
    public Map<String, String> digests() {
        return files.digests();
    }

    /** The attention backend in use. */
    public String attentionBackend() {
        return attentionBackend;
    }

    /** What selects the tokens to attend to, and what that costs. */
    public SelectionPolicy selectionPolicy() {
        return attention.policy();
    }

    /** What hot latents did so far, in prefill and in decode; empty without {@link ModelOptions#hiSparse()}. */
    public Map<Phase, HiSparseStats> hiSparseStats() {
        return hiSparse == null ? Map.of() : hiSparse.stats();
    }

    /** Measures how the decoder uses a device; empty where it runs on the host. */
    public Optional<DeviceMeter> deviceMeter() {
        return ops.meter();
    }

    /** Operations on the engine's threads, for measurements. */
    public HostOperations hostOperations() {
        return implementations.host();
    }

    /** Which implementation serves each phase. */
    public Map<Phase, String> implementations() {
        return implementations.names();
    }

    /** A sentence for the user where the fastest implementation was wanted and is not available. */
    public Optional<String> notice() {
        return implementations.notice();
    }

    /** Elements of all weights, scales of FP8 blocks not counted. */
    public long parameters() {
        return weights.parameters();
    }

    /** Whether weights come from files, rather than from config.json. */
    public boolean hasCheckpoint() {
        return weights instanceof Checkpoint;
    }

    /** Bytes of all weights in the formats of their files. */
    public long weightBytes() {
        return weights.bytes();
    }

    /**
     * What the model takes of the memory that it runs in, for so many sequences of {@link #contextLength()} tokens.
     *
     * @param usable the most bytes that it may take; what there are beyond the memory's do not count
     */
    public MemoryPlan memoryPlan(int sequences, long usable) {
        return new MemoryPlanner(
                        config,
                        decoder,
                        ops,
                        weights.weights(),
                        cacheShapes(),
                        cacheDtype(),
                        attention.policy().usesIndexer(),
                        options)
                .plan(sequences, contextLength(), Math.min(usable, ops.memory().bytes()));
    }

    /** The most tokens of a sequence. */
    public int contextLength() {
        return options.contextLength() > 0 ? options.contextLength() : config.maxPositions();
    }

    /** How caches store their values. */
    public CacheDtype cacheDtype() {
        return options.cacheDtype() != null ? options.cacheDtype() : options.precision().cacheDtype();
    }

    /** What a token takes in the cache of each layer; without index keys where the layer runs no indexer. */
    public List<CacheShape> cacheShapes() {
        return IntStream.range(0, config.layers())
                .mapToObj(layer -> new CacheShape(
                        config.mla().kvRank(),
                        config.mla().rope(),
                        attention.usesIndexer(layer) ? config.indexer().dim() : 0))
                .toList();
    }

    /** Whether the model comes with a tokenizer. */
    public boolean hasTokenizer() {
        return files.has("tokenizer.json");
    }

    /** The model's tokenizer, read at the first call. */
    public synchronized Tokenizer tokenizer() {
        if (tokenizer == null) {
            tokenizer = tokenizer(files);
        }
        return tokenizer;
    }

    /** The tokenizer of a model that need not be opened for it. */
    public static Tokenizer tokenizer(ModelFiles files) {
        if (!files.has("tokenizer.json")) {
            throw new EngineException(files.where() + " has no tokenizer.json; give the prompt as --tokens.");
        }
        String extra = "tokenizer_config.json";
        return Tokenizer.read(
                files.read("tokenizer.json"), files.has(extra) ? files.read(extra) : null, files.where());
    }

    /** A runner whose caches hold {@code sequences} texts of {@code tokens} tokens each. */
    public ModelRunner runner(int sequences, int tokens) {
        if (described) {
            throw new IllegalStateException("a model that was described has no weights to run");
        }
        long pages = Math.multiplyExact((long) sequences, (long) Math.ceilDiv(tokens, PageTable.PAGE));
        long slots = Math.multiplyExact(pages, (long) PageTable.PAGE);
        if (slots > Integer.MAX_VALUE - PageTable.PAGE) {
            throw new EngineException("caches for " + sequences + " sequences of " + tokens
                    + " tokens are more than the " + Integer.MAX_VALUE + " tokens that an engine can number; ask for fewer.");
        }
        KvCache cache = hiSparse == null
                ? ops.cache(cacheShapes(), cacheDtype(), (int) slots, contextLength())
                : new KvCache(cacheShapes(), cacheDtype(), (int) slots, options.hiSparse().directory());
        return new ModelRunner(decoder, cache, Math.min(options.prefillChunk(), ops.mostRows()), contextLength());
    }

    /** Unmaps the weights and ends the threads. */
    @Override
    public void close() {
        ops.close();
        implementations.close();
        pool.close();
        weights.close();
    }
}
