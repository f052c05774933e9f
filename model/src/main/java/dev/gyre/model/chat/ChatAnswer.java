package dev.gyre.model.chat;

import java.util.List;

/**
 * A whole answer of the model.
 *
 * @param content what is for the user; empty when there is none
 * @param reasoningContent the thinking before it; empty when there is none
 * @param toolCalls the calls in their order, without ids
 */
public record ChatAnswer(String content, String reasoningContent, List<ToolCall> toolCalls) {
    /** Copies the list. */
    public ChatAnswer {
        toolCalls = List.copyOf(toolCalls);
    }
}
