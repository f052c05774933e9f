package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.policy.SelectionPolicies;
import dev.gyre.model.Model;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.EngineStats;
import dev.gyre.model.engine.GenerationRequest;
import dev.gyre.model.generate.GenerationOptions;

import java.io.IOException;
import java.util.List;

/** What the server says of itself, and what can be done to it. */
final class InfoEndpoints {
    private final ServerContext server;
    private final String version;
    private final long created = Answers.now();

    InfoEndpoints(ServerContext server, String version) {
        this.server = server;
        this.version = version;
    }

    /** {@code GET /v1/models}. */
    void models(Call call) throws IOException {
        ObjectNode list = Answers.JSON.objectNode().put("object", "list");
        list.putArray("data").add(model());
        call.send(200, list);
    }

    /** {@code GET /v1/models/NAME}. */
    void model(Call call) throws IOException {
        String name = call.path().substring("/v1/models/".length());
        if (!name.equals(server.options().modelName())) {
            throw ApiError.of(404, "model_not_found", "the model '" + name + "' is not served here.");
        }
        call.send(200, model());
    }

    private ObjectNode model() {
        return Answers.JSON.objectNode()
                .put("id", server.options().modelName())
                .put("object", "model")
                .put("created", created)
                .put("owned_by", "gyre")
                .put("root", server.options().modelName())
                .put("max_model_len", server.engine().mostTokens());
    }

    /** {@code GET /health}: whether it takes requests. */
    void health(Call call) throws IOException {
        if (server.engine().isStopping()) {
            throw ApiError.of(503, "stopping", "the server is stopping.");
        }
        call.send(200, "text/plain", new byte[0]);
    }

    /** {@code GET /health_generate}: whether it generates. */
    void healthGenerate(Call call) throws IOException {
        GenerationRequest request = server.request(new int[] {0}, GenerationOptions.greedy(1), -1);
        try (Choices choices = server.begin(call, Answers.id("HEALTH_CHECK_"), List.of(request))) {
            choices.read(call, false, new Choices.Ignore());
        }
        call.send(200, "text/plain", new byte[0]);
    }

    /** {@code GET /get_model_info}. */
    void modelInfo(Call call) throws IOException {
        Model model = server.engine().model();
        ObjectNode info = Answers.JSON.objectNode()
                .put("model_path", model.where())
                .put("tokenizer_path", model.where())
                .put("served_model_name", server.options().modelName())
                .put("is_generation", true)
                .put("has_image_understanding", false)
                .put("has_audio_understanding", false)
                .put("parameters", model.parameters())
                .put("vocabulary_size", model.config().vocabulary())
                .put("context_length", model.contextLength());
        info.putObject("preferred_sampling_params")
                .put("temperature", model.defaults().temperature())
                .put("top_p", model.defaults().topP())
                .put("top_k", model.defaults().topK());
        call.send(200, info);
    }

    /** {@code GET /server_info}. */
    void serverInfo(Call call) throws IOException {
        Engine engine = server.engine();
        Model model = engine.model();
        EngineStats stats = engine.stats();
        ObjectNode info = Answers.JSON.objectNode()
                .put("version", version)
                .put("model_path", model.where())
                .put("served_model_name", server.options().modelName())
                .put("context_length", model.contextLength())
                .put("attention_backend", model.attentionBackend())
                .put("kv_cache_dtype", model.cacheDtype().label())
                .put("chunked_prefill_size", model.options().prefillChunk())
                .put("max_running_requests", engine.options().maxRunning())
                .put("max_queued_requests", engine.options().maxQueued())
                .put("max_total_num_tokens", stats.tokens())
                .put("disable_radix_cache", !engine.options().prefixCache());
        ObjectNode implementations = info.putObject("implementations");
        model.implementations().forEach((phase, name) -> implementations.put(phase.label(), name));
        model.hiSparseStats().forEach((phase, hot) -> info.withObject("/hisparse").putObject(phase.label())
                .put("selected", hot.selected())
                .put("hits", hot.hits())
                .put("hit_rate", hot.hitRate())
                .put("evictions", hot.evictions())
                .put("bytes_fetched", hot.bytesFetched()));
        info.putArray("internal_states").addObject()
                .put("last_gen_throughput", stats.tokensPerSecond())
                .put("num_running_reqs", stats.running())
                .put("num_queue_reqs", stats.queued())
                .put("num_used_tokens", stats.tokensInUse())
                .put("num_kept_tokens", stats.tokensKept())
                .put("evicted_pages", stats.evictedPages());
        call.send(200, info);
    }

    /** {@code POST /flush_cache}: forgets what no running request uses. */
    void flushCache(Call call) throws IOException {
        server.engine().flushCache();
        call.send(200, "text/plain; charset=utf-8", Answers.utf8("Cache flushed.\n"));
    }

    /** {@code POST /abort_request}: {@code {"rid": NAME}} or {@code {"abort_all": true}}. */
    void abort(Call call) throws IOException {
        Body body = call.body();
        boolean all = body.flag("abort_all", false);
        String id = body.text("rid", null);
        if (!all && id == null) {
            throw ApiError.bad("rid", "give a rid, or set abort_all.");
        }
        server.abort(all ? null : id);
        call.send(200, "text/plain", new byte[0]);
    }

    /** {@code POST /tokenize}: {@code {"prompt": TEXT or TEXTS}}; {@code add_special_tokens} puts the BOS before it. */
    void tokenize(Call call) throws IOException {
        Body body = call.body();
        boolean special = body.flag("add_special_tokens", true);
        List<String> texts = body.texts("prompt", ServerContext.MOST_CHOICES);
        if (body.get("prompt") == null) {
            throw ApiError.bad("prompt", "prompt is missing.");
        }
        ArrayNode tokens = Answers.JSON.arrayNode();
        ArrayNode counts = Answers.JSON.arrayNode();
        for (String text : texts) {
            int[] ids = Sampling.checked(
                    () -> special ? server.tokenizer().encodeWithBos(text) : server.tokenizer().encode(text));
            tokens.add(Answers.ids(ids));
            counts.add(ids.length);
        }
        boolean list = body.get("prompt").isArray();
        ObjectNode answer = Answers.JSON.objectNode();
        answer.set("tokens", list ? tokens : tokens.get(0));
        answer.set("count", list ? counts : counts.get(0));
        call.send(200, answer.put("max_model_len", server.engine().mostTokens()));
    }

    /** {@code POST /detokenize}: {@code {"tokens": IDS or lists of IDS}}. */
    void detokenize(Call call) throws IOException {
        Body body = call.body();
        boolean skip = body.flag("skip_special_tokens", true);
        if (body.get("tokens") == null || !body.get("tokens").isArray()) {
            throw ApiError.bad("tokens", "tokens must be an array of token ids, or of such arrays.");
        }
        int vocabulary = server.engine().model().config().vocabulary();
        boolean list = !body.get("tokens").isEmpty() && body.get("tokens").get(0).isArray();
        ArrayNode texts = Answers.JSON.arrayNode();
        if (list) {
            for (int i = 0; i < body.get("tokens").size(); i++) {
                int[] ids = Body.ids(body.get("tokens").get(i), "tokens[" + i + "]", vocabulary);
                texts.add(Sampling.checked(() -> server.tokenizer().decode(ids, skip)));
            }
        } else {
            int[] ids = body.ids("tokens", vocabulary);
            texts.add(Sampling.checked(() -> server.tokenizer().decode(ids, skip)));
        }
        ObjectNode answer = Answers.JSON.objectNode();
        answer.set("text", list ? texts : texts.get(0));
        call.send(200, answer);
    }

    /**
     * {@code POST /inspect}: {@code {"input_ids": IDS}}; which of these positions each layer's indexer selects when the
     * token behind them is predicted. What is in the prefix cache is not computed again.
     */
    void inspect(Call call) throws IOException {
        Body body = call.body();
        Model model = server.engine().model();
        if (model.selectionPolicy().spec().equals(SelectionPolicies.DENSE)) {
            throw ApiError.bad(null, "attention is dense here: every token attends to all before it.");
        }
        int[] ids = body.ids("input_ids", model.config().vocabulary());
        if (ids.length == 0) {
            throw ApiError.bad("input_ids", "input_ids is missing or empty.");
        }
        Sampling.maxTokens(Body.empty(), "max_tokens", 1, ids.length, server.engine());
        GenerationRequest request =
                new GenerationRequest(ids, GenerationOptions.greedy(1), -1, server.options().requestTimeout(), true);
        ObjectNode answer = Answers.JSON.objectNode();
        ArrayNode tokens = answer.putArray("tokens");
        if (model.hasTokenizer()) {
            for (int id : ids) {
                tokens.add(Answers.text(model.tokenizer(), id));
            }
        }
        ArrayNode layers = answer.putArray("layers");
        try (Choices choices = server.begin(call, Answers.id("inspect-"), List.of(request))) {
            choices.read(call, false, new Choices.Ignore());
            choices.streams().getFirst().selections().forEach(layer -> layers.add(Answers.ids(layer)));
        }
        int topk = model.config().indexer().topk();
        call.send(200, answer.put("index_topk", topk).put("all_visible", ids.length <= topk));
    }
}
