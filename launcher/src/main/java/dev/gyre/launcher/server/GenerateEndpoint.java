package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.model.Model;
import dev.gyre.model.engine.GenerationRequest;
import dev.gyre.model.engine.StreamEvent;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.Logprobs;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * {@code POST /generate}: SGLang's native form. One text or a list of them, as {@code text} or {@code input_ids}; the
 * fields are those of its {@code GenerateReqInput}.
 */
final class GenerateEndpoint {
    private final ServerContext server;

    GenerateEndpoint(ServerContext server) {
        this.server = server;
    }

    void handle(Call call) throws IOException {
        Body body = call.body();
        for (String name : List.of("image_data", "audio_data", "video_data", "input_embeds", "lora_path",
                "return_hidden_states", "session_params")) {
            body.refuse(name, "");
        }
        if (body.whole("logprob_start_len", -1, -1, Integer.MAX_VALUE) >= 0) {
            throw ApiError.bad("logprob_start_len", "logprob_start_len is not supported: prompts are not scored.");
        }
        List<int[]> prompts = new ArrayList<>();
        boolean list = prompts(body, prompts);
        int top = body.flag("return_logprob", false)
                ? body.integer("top_logprobs_num", 0, 0, GenerationRequest.MOST_LOGPROBS)
                : -1;
        List<GenerationRequest> requests = new ArrayList<>();
        int answers = 1;
        for (int p = 0; p < prompts.size(); p++) {
            Body params = params(body, p, list);
            int[] prompt = prompts.get(p);
            answers = params.integer("n", 1, 1, ServerContext.MOST_CHOICES);
            server.checkChoices(requests.size() + answers);
            GenerationOptions options =
                    Sampling.checked(() -> Sampling.sglang(params, server.engine(), prompt.length));
            for (int i = 0; i < answers; i++) {
                requests.add(server.request(prompt, Sampling.choice(options, i), top));
            }
        }
        boolean stream = body.flag("stream", false);
        String id = server.requestId(body, "");
        try (Choices choices = server.begin(call, id, requests)) {
            boolean many = list || answers > 1;
            Answer answer = new Answer(call, id, stream, many, requests.size());
            choices.read(call, stream, answer);
            answer.finish();
        }
    }

    /** Reads the prompts; whether they were a list. */
    private boolean prompts(Body body, List<int[]> prompts) {
        JsonNode text = body.get("text");
        JsonNode ids = body.get("input_ids");
        if (text == null == (ids == null)) {
            throw ApiError.bad("text", "give either text or input_ids.");
        }
        if (text != null) {
            for (String one : body.texts("text", ServerContext.MOST_CHOICES)) {
                prompts.add(Sampling.checked(() -> server.tokenizer().encodeWithBos(one)));
            }
        } else if (ids.isArray() && !ids.isEmpty() && ids.get(0).isArray()) {
            if (ids.size() > ServerContext.MOST_CHOICES) {
                throw ApiError.bad("input_ids",
                        "input_ids must be ids, or at most " + ServerContext.MOST_CHOICES + " arrays of them.");
            }
            for (int i = 0; i < ids.size(); i++) {
                prompts.add(Body.ids(ids.get(i), "input_ids[" + i + "]", server.engine().model().config().vocabulary()));
            }
        } else {
            prompts.add(body.ids("input_ids", server.engine().model().config().vocabulary()));
        }
        if (prompts.isEmpty() || prompts.stream().anyMatch(prompt -> prompt.length == 0)) {
            throw ApiError.bad(null, "the prompt is empty.");
        }
        return text != null ? text.isArray() : ids.get(0).isArray();
    }

    /** One set of parameters for all, or one for each prompt. */
    private static Body params(Body body, int prompt, boolean list) {
        JsonNode params = body.get("sampling_params");
        if (params == null || !params.isArray()) {
            return body.object("sampling_params");
        }
        List<Body> each = body.objects("sampling_params");
        if (!list || each.size() <= prompt) {
            throw ApiError.bad("sampling_params", "sampling_params must be an object, or one for each prompt.");
        }
        return each.get(prompt);
    }

    /** Collects or streams the choices of one request. */
    private final class Answer implements Choices.Listener {
        private final Call call;
        private final String id;
        private final boolean stream;
        private final boolean many;
        private final long start = System.nanoTime();
        private final ObjectNode[] whole;
        private final Generation[] generations;
        private final StringBuilder[] texts;
        private final ArrayNode[] ids;
        private final ArrayNode[] logprobs;
        private final ArrayNode[] top;

        Answer(Call call, String id, boolean stream, boolean many, int count) {
            this.call = call;
            this.id = id;
            this.stream = stream;
            this.many = many;
            whole = new ObjectNode[count];
            generations = new Generation[count];
            texts = new StringBuilder[count];
            ids = new ArrayNode[count];
            logprobs = new ArrayNode[count];
            top = new ArrayNode[count];
            for (int i = 0; i < count; i++) {
                texts[i] = new StringBuilder();
                ids[i] = Answers.JSON.arrayNode();
            }
        }

        @Override
        public void token(int choice, StreamEvent.Token token) throws IOException {
            texts[choice].append(token.text());
            ids[choice].add(token.id());
            if (token.logprobs() != null) {
                add(choice, token.logprobs());
            }
            if (stream) {
                event(choice, answer(choice, null));
            }
        }

        private void add(int choice, Logprobs found) {
            if (logprobs[choice] == null) {
                logprobs[choice] = Answers.JSON.arrayNode();
                top[choice] = Answers.JSON.arrayNode();
            }
            logprobs[choice].add(triple(found.token(), found.logprob()));
            ArrayNode candidates = top[choice].addArray();
            found.top().forEach(one -> candidates.add(triple(one.token(), one.logprob())));
        }

        private ArrayNode triple(int token, double logprob) {
            Model model = server.engine().model();
            ArrayNode triple = Answers.JSON.arrayNode().add(logprob).add(token);
            return model.hasTokenizer() ? triple.add(Answers.text(model.tokenizer(), token)) : triple.addNull();
        }

        @Override
        public void end(int choice, Generation generation) throws IOException {
            generations[choice] = generation;
            whole[choice] = answer(choice, generation);
            if (stream) {
                event(choice, whole[choice]);
            }
        }

        private void event(int choice, ObjectNode answer) throws IOException {
            call.event(many ? answer.put("index", choice) : answer);
        }

        /** What there is so far; the end of it where {@code generation} is given. */
        private ObjectNode answer(int choice, Generation generation) {
            JsonNodeFactory json = Answers.JSON;
            ObjectNode answer = json.objectNode().put("text", texts[choice].toString());
            answer.set("output_ids", ids[choice].deepCopy());
            ObjectNode meta = answer.putObject("meta_info");
            meta.put("id", generations.length == 1 ? id : id + "_" + choice);
            meta.set("finish_reason", generation == null ? json.nullNode() : finishReason(generation));
            meta.put("completion_tokens", ids[choice].size());
            if (generation != null) {
                meta.put("prompt_tokens", generation.promptTokens());
                meta.put("cached_tokens", generation.cachedTokens());
                meta.put("e2e_latency", (System.nanoTime() - start) * 1e-9);
            }
            if (logprobs[choice] != null) {
                meta.set("output_token_logprobs", logprobs[choice].deepCopy());
                meta.set("output_top_logprobs", top[choice].deepCopy());
            }
            return answer;
        }

        private static ObjectNode finishReason(Generation generation) {
            ObjectNode reason = Answers.JSON.objectNode().put("type", Answers.finish(generation));
            switch (generation.finishReason()) {
                case LENGTH -> reason.put("length", generation.outputIds().length);
                case ABORT -> reason.put("message", "the request was aborted.");
                case STOP -> reason.set("matched", Answers.matchedStop(generation));
            }
            return reason;
        }

        void finish() throws IOException {
            int prompt = 0;
            int completion = 0;
            for (Generation generation : generations) {
                prompt += generation.promptTokens();
                completion += generation.outputIds().length;
            }
            server.noteUsage(call, prompt, completion);
            if (stream) {
                call.finishEvents();
            } else {
                call.send(200, many ? Answers.JSON.arrayNode().addAll(List.of(whole)) : whole[0]);
            }
        }
    }
}
