package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.model.chat.ChatParser;
import dev.gyre.model.chat.ChatParser.Delta;
import dev.gyre.model.chat.ThinkingMode;
import dev.gyre.model.engine.StreamEvent;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.tokenizer.Tokenizer;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/** One answer of a chat: thinking, text and calls, as they come and as a whole. */
final class ChatChoice {
    private final int index;
    private final ChatRequest asked;
    private final ChatParser parser;
    private final Tokenizer tokenizer;
    private final OptionalInt endOfThinking;
    private final boolean stream;
    private final boolean ids;
    private final StringBuilder content = new StringBuilder();
    private final StringBuilder reasoning = new StringBuilder();
    private final ArrayNode calls = Answers.JSON.arrayNode();
    private final ArrayNode logprobs = Answers.JSON.arrayNode();
    /** What the next piece tells of tokens: those whose text it has, or was held back before it. */
    private ArrayNode newIds = Answers.JSON.arrayNode();
    private ArrayNode newLogprobs = Answers.JSON.arrayNode();
    private List<ObjectNode> pieces = new ArrayList<>();
    private boolean thinks;
    private int reasoningTokens;

    /**
     * @param apart whether thoughts are kept apart; otherwise they are text like any other
     * @param stream whether pieces are wanted
     * @param ids whether they tell their tokens
     */
    ChatChoice(int index, ChatRequest asked, boolean apart, Tokenizer tokenizer, OptionalInt endOfThinking,
            boolean stream, boolean ids) {
        this.index = index;
        this.asked = asked;
        this.parser = new ChatParser(apart ? asked.mode() : ThinkingMode.CHAT, asked.tools());
        this.tokenizer = tokenizer;
        this.endOfThinking = endOfThinking;
        this.stream = stream;
        this.ids = ids;
        thinks = asked.mode() == ThinkingMode.THINKING;
        emit(Answers.JSON.objectNode().put("role", "assistant").put("content", ""));
    }

    /** Whether nothing more is wanted: one call was asked for, and has come. */
    boolean isOver() {
        return asked.oneCall() && !calls.isEmpty();
    }

    int reasoningTokens() {
        return reasoningTokens;
    }

    void add(StreamEvent.Token token) {
        if (isOver()) {
            return;
        }
        thinks &= endOfThinking.isEmpty() || endOfThinking.getAsInt() != token.id();
        reasoningTokens += thinks ? 1 : 0;
        newIds.add(token.id());
        if (token.logprobs() != null) {
            (stream ? newLogprobs : logprobs).add(Answers.chatLogprob(tokenizer, token.logprobs()));
        }
        take(parser.push(token.text()));
    }

    void finish() {
        if (!isOver()) {
            take(parser.finish());
        }
    }

    private void take(List<Delta> deltas) {
        for (Delta delta : deltas) {
            ObjectNode fields = Answers.JSON.objectNode();
            switch (delta) {
                case Delta.Content(String text) -> {
                    content.append(text);
                    fields.put("content", text);
                }
                case Delta.Reasoning(String text) -> {
                    reasoning.append(text);
                    fields.put("reasoning_content", text);
                }
                case Delta.Call(int number, String name, String arguments) -> {
                    ObjectNode call = Answers.JSON.objectNode()
                            .put("id", Answers.id("call_"))
                            .put("type", "function");
                    call.putObject("function").put("name", name).put("arguments", arguments);
                    calls.add(call);
                    fields.putArray("tool_calls")
                            .add(Answers.JSON.objectNode().put("index", number).setAll(call));
                }
            }
            emit(fields);
            if (isOver()) {
                return;
            }
        }
    }

    private void emit(ObjectNode delta) {
        if (stream) {
            pieces.add(piece(delta));
        }
    }

    private ObjectNode piece(ObjectNode delta) {
        ObjectNode piece = Answers.JSON.objectNode().put("index", index);
        piece.set("delta", delta);
        if (newLogprobs.isEmpty()) {
            piece.putNull("logprobs");
        } else {
            piece.putObject("logprobs").set("content", newLogprobs);
            newLogprobs = Answers.JSON.arrayNode();
        }
        piece.putNull("finish_reason");
        if (ids) {
            piece.set("token_ids", newIds);
        }
        newIds = Answers.JSON.arrayNode();
        return piece;
    }

    /** The pieces that came since the last time. */
    List<ObjectNode> takePieces() {
        List<ObjectNode> taken = pieces;
        pieces = new ArrayList<>();
        return taken;
    }

    /** What a stream ends with. */
    ObjectNode lastPiece(Generation generation) {
        ObjectNode piece = piece(Answers.JSON.objectNode());
        piece.put("finish_reason", finishReason(generation));
        piece.set("matched_stop", Answers.matchedStop(generation));
        return piece;
    }

    /** The whole answer. */
    ObjectNode whole(Generation generation) {
        ObjectNode choice = Answers.JSON.objectNode().put("index", index);
        ObjectNode message = choice.putObject("message").put("role", "assistant");
        if (content.isEmpty() && !calls.isEmpty()) {
            message.putNull("content");
        } else {
            message.put("content", content.toString());
        }
        if (!reasoning.isEmpty()) {
            message.put("reasoning_content", reasoning.toString());
        }
        if (!calls.isEmpty()) {
            message.set("tool_calls", calls);
        }
        if (logprobs.isEmpty()) {
            choice.putNull("logprobs");
        } else {
            choice.putObject("logprobs").set("content", logprobs);
        }
        choice.put("finish_reason", finishReason(generation));
        choice.set("matched_stop", Answers.matchedStop(generation));
        if (ids) {
            choice.set("token_ids", Answers.ids(generation.outputIds()));
        }
        return choice;
    }

    private String finishReason(Generation generation) {
        boolean called = !calls.isEmpty() && (isOver() || generation.finishReason() == Generation.FinishReason.STOP);
        return called ? "tool_calls" : Answers.finish(generation);
    }
}
