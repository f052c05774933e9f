package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.model.Model;
import dev.gyre.model.engine.GenerationRequest;
import dev.gyre.model.engine.StreamEvent;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.GenerationOptions;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/** {@code POST /v1/completions}: OpenAI's text completion. */
final class CompletionsEndpoint {
    private static final int DEFAULT_TOKENS = 16;
    private static final int MOST_LOGPROBS = 20;

    private final ServerContext server;

    CompletionsEndpoint(ServerContext server) {
        this.server = server;
    }

    /** What a request asks for, apart from its prompts. */
    private record Asked(int answers, boolean echo, boolean logprobs, boolean stream, boolean usage, boolean ids) {}

    void handle(Call call) throws IOException {
        Body body = call.body();
        server.checkModel(body);
        body.refuse("suffix", "");
        Model model = server.engine().model();
        List<int[]> prompts = prompts(body);
        int answers = body.integer("n", 1, 1, ServerContext.MOST_CHOICES);
        if (body.integer("best_of", answers, 1, ServerContext.MOST_CHOICES) != answers) {
            throw ApiError.bad("best_of", "best_of is not supported; use n.");
        }
        server.checkChoices(prompts.size() * answers);
        int top = body.integer("logprobs", -1, 0, MOST_LOGPROBS);
        boolean stream = body.flag("stream", false);
        Asked asked = new Asked(
                answers,
                body.flag("echo", false),
                top >= 0,
                stream,
                stream && body.object("stream_options").flag("include_usage", false),
                body.flag("return_token_ids", false));
        if (asked.echo || asked.logprobs) {
            server.tokenizer(); // to complain before anything is generated
        }
        if (asked.echo && asked.logprobs) {
            throw ApiError.bad("echo", "echo with logprobs is not supported: prompts are not scored.");
        }
        List<GenerationRequest> requests = new ArrayList<>();
        for (int[] prompt : prompts) {
            int most = Sampling.maxTokens(body, "max_tokens", DEFAULT_TOKENS, prompt.length, server.engine());
            GenerationOptions options =
                    Sampling.checked(() -> Sampling.openAi(body, model, most, Set.of()));
            for (int i = 0; i < answers; i++) {
                requests.add(server.request(prompt, Sampling.choice(options, i), top));
            }
        }
        String id = server.requestId(body, "cmpl-");
        try (Choices choices = server.begin(call, id, requests)) {
            Answer answer = new Answer(call, id, asked, prompts, requests.size());
            choices.read(call, stream, answer);
            answer.finish();
        }
    }

    /** A string, strings, ids, or arrays of ids. */
    private List<int[]> prompts(Body body) {
        JsonNode prompt = body.get("prompt");
        List<int[]> prompts = new ArrayList<>();
        if (prompt == null) {
            throw ApiError.bad("prompt", "prompt is missing.");
        } else if (prompt.isArray() && !prompt.isEmpty() && !prompt.get(0).isIntegralNumber()) {
            if (prompt.size() > ServerContext.MOST_CHOICES) {
                throw ApiError.bad("prompt", "prompt must have at most " + ServerContext.MOST_CHOICES + " elements.");
            }
            for (int i = 0; i < prompt.size(); i++) {
                prompts.add(prompt(prompt.get(i), "prompt[" + i + "]"));
            }
        } else {
            prompts.add(prompt(prompt, "prompt"));
        }
        return prompts;
    }

    private int[] prompt(JsonNode prompt, String path) {
        int[] ids = prompt.isTextual()
                ? Sampling.checked(() -> server.tokenizer().encodeWithBos(prompt.textValue()))
                : Body.ids(prompt, path, server.engine().model().config().vocabulary());
        if (ids.length == 0) {
            throw ApiError.bad(path, path + " is empty.");
        }
        return ids;
    }

    /** Collects or streams the choices of one request. */
    private final class Answer implements Choices.Listener {
        private final Call call;
        private final Asked asked;
        private final List<int[]> prompts;
        private final ObjectNode head;
        private final ObjectNode[] choices;
        private final ObjectNode[] logprobs;
        private final int[] lengths;
        private final boolean[] begun;
        private final Generation[] generations;

        Answer(Call call, String id, Asked asked, List<int[]> prompts, int count) {
            this.call = call;
            this.asked = asked;
            this.prompts = prompts;
            head = Answers.JSON.objectNode()
                    .put("id", id)
                    .put("object", "text_completion")
                    .put("created", Answers.now())
                    .put("model", server.options().modelName());
            choices = new ObjectNode[count];
            logprobs = new ObjectNode[count];
            lengths = new int[count];
            begun = new boolean[count];
            generations = new Generation[count];
        }

        private String echoed(int choice) {
            return asked.echo ? server.tokenizer().decode(prompts.get(choice / asked.answers), true) : "";
        }

        @Override
        public void token(int choice, StreamEvent.Token token) throws IOException {
            String text = token.text();
            if (token.logprobs() != null) {
                if (logprobs[choice] == null) {
                    logprobs[choice] = Answers.completionLogprobs();
                }
                Answers.add(logprobs[choice], server.tokenizer(), token.logprobs(), lengths[choice]);
            }
            lengths[choice] += text.length();
            if (!asked.stream || text.isEmpty() && !asked.ids && token.logprobs() == null) {
                return;
            }
            ObjectNode piece = Answers.JSON.objectNode().put("index", choice);
            piece.put("text", (begun[choice] ? "" : echoed(choice)) + text);
            piece.set("logprobs", logprobs[choice] == null ? Answers.JSON.nullNode() : logprobs[choice]);
            piece.putNull("finish_reason");
            logprobs[choice] = null;
            if (asked.ids) {
                piece.putArray("token_ids").add(token.id());
            }
            chunk(piece, !begun[choice]);
            begun[choice] = true;
        }

        @Override
        public void end(int choice, Generation generation) throws IOException {
            generations[choice] = generation;
            ObjectNode last = Answers.JSON.objectNode().put("index", choice);
            if (asked.stream) {
                last.put("text", begun[choice] ? "" : echoed(choice)).putNull("logprobs");
            } else {
                last.put("text", echoed(choice) + generation.text());
                last.set("logprobs", logprobs[choice] == null ? Answers.JSON.nullNode() : logprobs[choice]);
                if (asked.ids) {
                    last.set("prompt_token_ids", Answers.ids(prompts.get(choice / asked.answers)));
                    last.set("token_ids", Answers.ids(generation.outputIds()));
                }
            }
            last.put("finish_reason", Answers.finish(generation));
            last.set("matched_stop", Answers.matchedStop(generation));
            choices[choice] = last;
            if (asked.stream) {
                chunk(last, !begun[choice]);
            }
        }

        private void chunk(ObjectNode choice, boolean first) throws IOException {
            ObjectNode chunk = head.deepCopy();
            chunk.putArray("choices").add(choice);
            if (first && asked.ids) {
                int index = choice.get("index").intValue();
                chunk.set("prompt_token_ids", Answers.ids(prompts.get(index / asked.answers)));
            }
            if (asked.usage) {
                chunk.putNull("usage");
            }
            call.event(chunk);
        }

        void finish() throws IOException {
            ObjectNode usage = Answers.usage(Arrays.asList(generations), asked.answers, -1);
            server.noteUsage(call, usage);
            ArrayNode list = Answers.JSON.arrayNode();
            if (!asked.stream) {
                list.addAll(Arrays.asList(choices));
            }
            if (!asked.stream || asked.usage) {
                head.set("choices", list);
                head.set("usage", usage);
            }
            if (asked.usage) {
                call.event(head);
            }
            if (asked.stream) {
                call.finishEvents();
            } else {
                call.send(200, head);
            }
        }
    }
}
