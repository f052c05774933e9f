package dev.gyre.launcher;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;
import dev.gyre.attention.cache.CacheDtype;
import dev.gyre.attention.cache.KvCache;
import dev.gyre.model.MemoryPlan;
import dev.gyre.model.Model;
import dev.gyre.model.config.ModelConfig;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Map;

/** {@code engine info}. */
@Command(name = "info", description = "Shows what a model is and what it needs.")
final class InfoCommand implements Runnable {
    @Option(
            names = "--batch",
            paramLabel = "B",
            description = "sequences at once that the memory plan is for (default: 1)")
    private int batch = 1;

    @Mixin
    private JsonFlag json;

    @Mixin
    private EngineFlags flags;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        if (batch < 1) {
            throw EngineException.usage("--batch must be at least 1, not " + batch + ".");
        }
        PrintWriter out = spec.commandLine().getOut();
        try (Model model = flags.describe()) {
            Map<String, Object> info = describe(model);
            MemoryPlan plan = model.memoryPlan(batch, usable(model));
            if (json.wanted()) {
                info.put("memory_plan", PlanReport.fields(plan));
                JsonFlag.print(out, info);
            } else {
                info.forEach((name, value) -> out.printf("%-28s %s%n", name, value));
                PlanReport.print(out, plan, model.config().layers());
            }
        }
    }

    /** Bytes that a model may take where it runs. */
    private static long usable(Model model) {
        boolean onDevice = model.implementations().get(Phase.LINEAR).equals(Providers.TORNADO);
        int devices = Math.max(1, model.options().devices().size());
        return onDevice ? devices * DeviceLimit.bytes(System.getProperty("tornado.device.memory")) : Long.MAX_VALUE;
    }

    private static Map<String, Object> describe(Model model) {
        ModelConfig config = model.config();
        Map<String, Object> info = new LinkedHashMap<>();
        info.put("model", model.where());
        info.put("architecture", config.architecture());
        info.put("weights", model.hasCheckpoint() ? "in files" : "counted by config.json");
        info.put("parameters", model.parameters());
        info.put("weight_bytes", model.weightBytes());
        info.put("layers", config.layers());
        info.put("first_layer", config.firstLayer());
        info.put("hidden_size", config.hidden());
        info.put("attention_heads", config.mla().heads());
        info.put("kv_lora_rank", config.mla().kvRank());
        info.put("qk_head_dims", config.mla().nope() + " + " + config.mla().rope());
        info.put("experts", config.moe() == null ? 0 : config.moe().experts());
        info.put("experts_per_token", config.moe() == null ? 0 : config.moe().perToken());
        info.put("vocabulary", config.vocabulary());
        info.put("sparse", config.isSparse());
        if (config.isSparse()) {
            info.put("index_heads", config.indexer().heads());
            info.put("index_head_dim", config.indexer().dim());
            info.put("index_topk", config.indexer().topk());
            info.put("indexer_rope_interleave", config.indexer().interleaved());
            info.put("index_sharing", config.indexer().sharing().pattern());
        }
        info.put("attention_backend", model.attentionBackend());
        info.put("selection_policy", model.selectionPolicy().spec());
        info.put("recommended_temperature", model.defaults().temperature());
        info.put("recommended_top_p", model.defaults().topP());
        info.put("recommended_top_k", model.defaults().topK());
        info.put("eos_token_ids", model.defaults().eos());
        info.put("context_length", model.contextLength());
        info.put("kv_cache_dtype", model.cacheDtype().label());
        for (CacheDtype dtype : CacheDtype.values()) {
            info.put("cache_bytes_per_token_" + dtype.label(), KvCache.bytesPerToken(model.cacheShapes(), dtype));
        }
        long perToken = KvCache.bytesPerToken(model.cacheShapes(), model.cacheDtype());
        if (model.options().hiSparse() != null) {
            long latents = model.cacheShapes().stream().mapToLong(shape -> shape.latentBytes(model.cacheDtype())).sum();
            int hot = Math.min(model.options().hiSparse().hotTokens(), model.contextLength());
            info.put("hot_latent_bytes_per_sequence", latents * hot);
        }
        info.put("cache_bytes_at_context_length", perToken * model.contextLength());
        return info;
    }
}
