package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.model.Model;
import dev.gyre.model.chat.ChatParser;
import dev.gyre.model.engine.GenerationRequest;
import dev.gyre.model.engine.StreamEvent;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.tokenizer.Tokenizer;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;

/** {@code POST /v1/chat/completions}: OpenAI's chat, with DeepSeek's thinking. */
final class ChatEndpoint {
    private static final int MOST_LOGPROBS = 20;

    private final ServerContext server;

    ChatEndpoint(ServerContext server) {
        this.server = server;
    }

    void handle(Call call) throws IOException {
        Body body = call.body();
        server.checkModel(body);
        Model model = server.engine().model();
        Tokenizer tokenizer = server.tokenizer();
        body.refuse("functions", "; use tools");
        body.refuse("audio", "");
        ChatRequest asked = ChatRequest.read(body);
        int[] prompt = Sampling.checked(() -> asked.prompt().tokens(tokenizer));
        int answers = body.integer("n", 1, 1, ServerContext.MOST_CHOICES);
        String name = body.has("max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
        int most = Sampling.maxTokens(body, name, 0, prompt.length, server.engine());
        int top = body.integer("top_logprobs", 0, 0, MOST_LOGPROBS);
        if (!body.flag("logprobs", false)) {
            if (top > 0) {
                throw ApiError.bad("top_logprobs", "top_logprobs needs logprobs to be true.");
            }
            top = -1;
        }
        Set<Integer> markers = ChatParser.markers(tokenizer, asked.mode(), asked.tools());
        GenerationOptions options = Sampling.checked(() -> Sampling.openAi(body, model, most, markers));
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = 0; i < answers; i++) {
            requests.add(server.request(prompt, Sampling.choice(options, i), top));
        }
        boolean stream = body.flag("stream", false);
        boolean usage = stream && body.object("stream_options").flag("include_usage", false);
        boolean apart = body.flag("separate_reasoning", true);
        String id = server.requestId(body, "chatcmpl-");
        try (Choices choices = server.begin(call, id, requests)) {
            ObjectNode head = Answers.JSON.objectNode()
                    .put("id", id)
                    .put("object", stream ? "chat.completion.chunk" : "chat.completion")
                    .put("created", Answers.now())
                    .put("model", server.options().modelName());
            int[] ids = body.flag("return_token_ids", false) ? prompt : null;
            Answer answer = new Answer(call, head, choices, asked, stream, usage, ids, apart, answers);
            choices.read(call, stream, answer);
            answer.finish();
        }
    }

    /** Collects or streams the answers to one request. */
    private final class Answer implements Choices.Listener {
        private final Call call;
        private final ObjectNode head;
        private final Choices choices;
        private final boolean stream;
        private final boolean usage;
        /** The prompt, where ids are wanted. */
        private final int[] promptIds;
        private final ChatChoice[] answers;
        private final Generation[] generations;
        private boolean begun;

        Answer(Call call, ObjectNode head, Choices choices, ChatRequest asked, boolean stream, boolean usage,
                int[] promptIds, boolean apart, int count) {
            this.call = call;
            this.head = head;
            this.choices = choices;
            this.stream = stream;
            this.usage = usage;
            this.promptIds = promptIds;
            generations = new Generation[count];
            answers = new ChatChoice[count];
            Tokenizer tokenizer = server.tokenizer();
            OptionalInt endOfThinking = tokenizer.id("</think>");
            for (int i = 0; i < count; i++) {
                answers[i] =
                        new ChatChoice(i, asked, apart, tokenizer, endOfThinking, stream, promptIds != null);
            }
        }

        @Override
        public void token(int choice, StreamEvent.Token token) throws IOException {
            ChatChoice answer = answers[choice];
            boolean over = answer.isOver();
            answer.add(token);
            if (!over && answer.isOver()) {
                choices.cancel(choice);
            }
            if (stream) {
                for (ObjectNode piece : answer.takePieces()) {
                    chunk(piece);
                }
            }
        }

        @Override
        public void end(int choice, Generation generation) throws IOException {
            generations[choice] = generation;
            answers[choice].finish();
            if (stream) {
                for (ObjectNode piece : answers[choice].takePieces()) {
                    chunk(piece);
                }
                chunk(answers[choice].lastPiece(generation));
            }
        }

        private void chunk(ObjectNode piece) throws IOException {
            ObjectNode chunk = head.deepCopy();
            chunk.putArray("choices").add(piece);
            if (!begun && promptIds != null) {
                chunk.set("prompt_token_ids", Answers.ids(promptIds));
            }
            begun = true;
            if (usage) {
                chunk.putNull("usage");
            }
            call.event(chunk);
        }

        void finish() throws IOException {
            int reasoning = Arrays.stream(answers).mapToInt(ChatChoice::reasoningTokens).sum();
            ObjectNode counted = Answers.usage(Arrays.asList(generations), generations.length, reasoning);
            server.noteUsage(call, counted);
            if (stream) {
                if (usage) {
                    head.putArray("choices");
                    head.set("usage", counted);
                    call.event(head);
                }
                call.finishEvents();
                return;
            }
            for (int i = 0; i < answers.length; i++) {
                head.withArray("choices").add(answers[i].whole(generations[i]));
            }
            head.set("usage", counted);
            if (promptIds != null) {
                head.set("prompt_token_ids", Answers.ids(promptIds));
            }
            call.send(200, head);
        }
    }
}
