package dev.gyre.model.chat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.model.Cases;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** Conversations with the prompts that DeepSeek's encoding_dsv32.py makes of them, and help with deltas. */
final class Conversations {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Conversations() {}

    /** One recorded case; {@code prompt} is null where the reference refuses. */
    record Case(List<ChatMessage> messages, ThinkingMode mode, boolean dropThinking, String prompt) {
        ChatPrompt encode() {
            return ChatEncoder.encode(messages, mode, dropThinking);
        }
    }

    static Stream<Case> recorded() {
        return Cases.cases("/chat/cases.json").stream().map(one -> new Case(
                messages(one.get("messages")),
                ThinkingMode.valueOf(one.get("mode").textValue().toUpperCase(Locale.ROOT)),
                one.get("drop_thinking").booleanValue(),
                one.get("prompt").textValue()));
    }

    /** Messages as OpenAI writes them. */
    static List<ChatMessage> messages(JsonNode array) {
        List<ChatMessage> messages = new ArrayList<>();
        for (JsonNode one : array) {
            List<ToolCall> calls = new ArrayList<>();
            for (JsonNode call : one.path("tool_calls")) {
                JsonNode function = call.get("function");
                calls.add(new ToolCall(call.path("id").textValue(), function.path("name").textValue(),
                        function.path("arguments").textValue()));
            }
            List<JsonNode> tools = new ArrayList<>();
            one.path("tools").forEach(tool -> tools.add(tool.get("function")));
            messages.add(new ChatMessage(one.get("role").textValue(), one.path("content").textValue(),
                    one.path("reasoning_content").textValue(), calls, tools, one.get("response_format")));
        }
        return messages;
    }

    static JsonNode json(String text) {
        try {
            return JSON.readTree(text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A system message that offers one tool. */
    static ChatMessage offering(String tool) {
        ObjectNode function = JSON.createObjectNode().put("name", tool);
        return new ChatMessage("system", "", null, null, List.of(function), null);
    }

    static ChatMessage calling(String reasoning, ToolCall... calls) {
        return new ChatMessage("assistant", "", reasoning, List.of(calls), null, null);
    }

    static ChatMessage result(String content) {
        return new ChatMessage("tool", content, null, null, null, null);
    }

    /** Deltas with neighbours of a kind joined. */
    static List<ChatParser.Delta> joined(List<ChatParser.Delta> deltas) {
        List<ChatParser.Delta> joined = new ArrayList<>();
        for (ChatParser.Delta delta : deltas) {
            ChatParser.Delta last = joined.isEmpty() ? null : joined.removeLast();
            if (last instanceof ChatParser.Delta.Content(String a)
                    && delta instanceof ChatParser.Delta.Content(String b)) {
                joined.add(new ChatParser.Delta.Content(a + b));
            } else if (last instanceof ChatParser.Delta.Reasoning(String a)
                    && delta instanceof ChatParser.Delta.Reasoning(String b)) {
                joined.add(new ChatParser.Delta.Reasoning(a + b));
            } else {
                if (last != null) {
                    joined.add(last);
                }
                joined.add(delta);
            }
        }
        return joined;
    }
}
