package dev.gyre.model.chat;

import com.fasterxml.jackson.databind.JsonNode;

import java.util.List;

/**
 * One message of a conversation. What a role has no use for is ignored, as DeepSeek's encoding does.
 *
 * @param role {@code system}, {@code developer}, {@code user}, {@code assistant} or {@code tool}
 * @param content the text; null counts as empty
 * @param reasoningContent an assistant's thinking before it, or null
 * @param toolCalls an assistant's calls
 * @param tools for system and developer: the {@code function} objects of OpenAI's {@code tools}
 * @param responseFormat for system and developer: the schema that the answer must follow, or null
 */
public record ChatMessage(String role, String content, String reasoningContent, List<ToolCall> toolCalls,
        List<JsonNode> tools, JsonNode responseFormat) {

    /** Copies the lists; null ones become empty. */
    public ChatMessage {
        toolCalls = toolCalls == null ? List.of() : List.copyOf(toolCalls);
        tools = tools == null ? List.of() : List.copyOf(tools);
    }

    /** What the model is told before the conversation. */
    public static ChatMessage system(String content) {
        return plain("system", content);
    }

    /** What the user says. */
    public static ChatMessage user(String content) {
        return plain("user", content);
    }

    /** An earlier answer, its thinking forgotten. */
    public static ChatMessage assistant(String content) {
        return plain("assistant", content);
    }

    private static ChatMessage plain(String role, String content) {
        return new ChatMessage(role, content, null, null, null, null);
    }
}
